"""Signals from outside of the container."""

import json

import pytest

from testing.base_images import ALPINE
from testing.containers import Containers, await_output, ended, stopped
from testing.waiting import eventually

SAYS_USR1 = "trap 'echo got USR1; exit 0' USR1; echo ready; while :; do sleep 0.05; done"

BECOMES_A_USER = """if True:
    import os
    os.setuid(1000)
    print("ready", flush=True)
    os.execvp("sleep", ["sleep", "100"])
"""


def test_docker_kill_reaches_the_workload(containers: Containers) -> None:
    """With any signal, not only stop signals."""
    container = containers.start("sh", "-c", SAYS_USR1)
    await_output(container, "ready")
    container.kill("USR1")
    end = ended(container)
    assert (end.status, end.output) == (0, "ready\ngot USR1\n")


def test_docker_stop_takes_well_under_a_second(containers: Containers) -> None:
    """From the signal to the end of the workload, once at least: the engine's part is not pyinit's."""
    told = {"PYINIT_EXIT_REPORT": "always", "PYINIT_LOG_FORMAT": "json"}

    def seconds() -> float:
        end = stopped(containers.start_sleeper(environment=told))
        return float(json.loads(end.errors.splitlines()[-1])["signal_seconds"])

    eventually(seconds, "a container stops at once", holds=lambda seconds: seconds < 0.5)


@pytest.mark.each_base
def test_workload_that_changes_its_user_still_gets_term(containers: Containers) -> None:
    """PID 1 is root and may signal all processes."""
    container = containers.start("python3", "-c", BECOMES_A_USER)
    await_output(container, "ready")
    assert stopped(container).status == 143


@pytest.mark.each_base
def test_signal_to_a_workload_that_may_not_be_signalled_is_a_log_line(containers: Containers) -> None:
    """Without CAP_KILL the signal cannot be delivered. pyinit says so and runs on."""
    container = containers.start("python3", "-c", BECOMES_A_USER, cap_drop=["KILL"])
    await_output(container, "ready")
    container.kill("TERM")
    await_output(container, "pyinit: cannot forward SIGTERM: Operation not permitted")
    container.reload()
    assert container.status == "running"


@pytest.mark.each_base
def test_a_real_time_signal_has_the_name_that_the_c_library_gives_it(containers: Containers, base: str) -> None:
    """The engine sends 37 for SIGRTMIN+3, counting from 34 as glibc does. musl counts from 35."""
    container = containers.start("-v", "--rewrite=37:USR1", "sh", "-c", SAYS_USR1, entrypoint=["pyinit"])
    await_output(container, "ready")
    container.kill("SIGRTMIN+3")
    end = ended(container)
    assert (end.status, end.output) == (0, "ready\ngot USR1\n")
    assert f"pyinit: SIGRTMIN+{2 if base == ALPINE else 3} from outside the container" in end.errors


@pytest.mark.parametrize("flag", ["-v", "--verbose"])
def test_verbose_log_says_that_the_signal_came_from_outside(containers: Containers, flag: str) -> None:
    """A sender outside of a PID namespace has no pid inside."""
    container = containers.start(flag, "sleep", "100", entrypoint=["pyinit"])
    await_output(container, "started")
    end = stopped(container)
    assert end.status == 143
    assert "pyinit: SIGTERM from outside the container" in end.errors
    assert all(line.startswith("pyinit: ") for line in end.errors.splitlines()), end.errors


@pytest.mark.each_base
def test_verbose_log_names_the_sender_inside(containers: Containers) -> None:
    """With pid and name."""
    end = containers.run("-v", "sh", "-c", "kill -USR1 1; exec sleep 100", entrypoint=["pyinit"])
    assert end.status == 138, end  # USR1 was forwarded, and the shell or the sleep died of it
    assert "pyinit: SIGUSR1 from pid" in end.errors
