"""The rights that PID 1 needs, and what a workload can do to it, under an engine's default seccomp profile."""

from typing import Any

import docker
import pytest
from docker.models.images import Image

from testing.containers import Containers, await_counters, await_output, ended, execute, printed, processes
from testing.images import built
from testing.waiting import eventually

NONE: dict[str, Any] = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "read_only": True}

AS_USER = ["-u", "1000:1000", "--stop-timeout=10", "--drain-timeout=0.1", "--"]

LEAVES_ORPHANS = """
trap 'echo heard; exit 3' TERM
for _ in 1 2 3 4 5; do (sleep 0.1 &); done
grep Uid: /proc/self/status; echo ready
while :; do sleep 0.05; done
"""

# As many orphans as the limit allows, twice.
FORK_BOMB = """
import os, time
for turn in range(3):
    reader, writer = os.pipe()
    refused = False
    if os.fork() == 0:
        while not refused:
            try:
                if os.fork() == 0:
                    os.close(writer)
                    os.read(reader, 1)
                    os._exit(0)
            except BlockingIOError:
                refused = True
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
    os.close(writer)
    os.close(reader)
    while [name for name in os.listdir("/proc") if name.isdigit() and int(name) not in (1, os.getpid())]:
        time.sleep(0.01)
print("all gone", flush=True)
time.sleep(100)
"""

WRITABLE = """
FROM {image}
RUN chmod 1777 /srv
"""


@pytest.mark.parametrize("user", ["0:0", "1000:1000"])
def test_no_capability_is_needed(containers: Containers, user: str) -> None:
    """pyinit starts, reaps, forwards and exits with the workload's status, as root and as another user."""
    container = containers.start("sh", "-c", LEAVES_ORPHANS, user=user, **NONE)
    await_output(container, "ready")
    assert set(printed(container, "grep", "-E", "^Cap(Prm|Eff|Bnd|Amb):", "/proc/1/status").split()[1::2]) == {"0" * 16}
    eventually(lambda: processes(container), holds=lambda seen: len(seen) <= 3)
    container.kill("TERM")
    end = ended(container)
    assert (end.status, end.output.splitlines()[-1], end.errors) == (3, "heard", "")


@pytest.mark.parametrize("capabilities", [[], ["SETUID"], ["SETGID"]], ids=str)
def test_the_workload_never_runs_as_another_user_if_a_capability_is_missing(
    containers: Containers, capabilities: list[str]
) -> None:
    """Two are needed. With only one of them nothing is started, and one line says so."""
    end = containers.run(*AS_USER, "echo", "started", entrypoint=["pyinit"], cap_add=capabilities, **NONE)
    assert (end.status, end.output) == (125, "")
    assert end.errors == "pyinit: cannot run as user '1000:1000': Operation not permitted\n"


@pytest.mark.parametrize("hears", [False, True])
def test_two_capabilities_start_a_workload_as_another_user_and_a_third_forwards_signals(
    containers: Containers, hears: bool
) -> None:
    """With two it is started, and its orphans are reaped. Without CAP_KILL it gets no signal."""
    capabilities = ["SETUID", "SETGID", *(["KILL"] if hears else [])]
    command = [*AS_USER, "sh", "-c", LEAVES_ORPHANS]
    container = containers.start(*command, entrypoint=["pyinit"], cap_add=capabilities, **NONE)
    await_output(container, "ready")
    eventually(lambda: processes(container), holds=lambda seen: len(seen) <= 3)
    container.kill("TERM")
    end = ended(container)
    assert end.output.splitlines()[0].split() == ["Uid:", *["1000"] * 4]
    if hears:
        assert (end.status, end.output.splitlines()[-1], end.errors) == (3, "heard", "")
    else:  # it ends with PID 1, eleven seconds later
        assert (end.status, end.output.splitlines()[-1]) == (137, "ready")
        first, second = end.errors.splitlines()[:2]
        assert first == "pyinit: cannot forward SIGTERM: Operation not permitted"
        assert second.startswith("pyinit: cannot kill pid ") and second.endswith(": Operation not permitted")


def test_a_fork_bomb_does_not_stop_the_reaping(containers: Containers) -> None:
    """PID 1 needs no further process to reap."""
    container = containers.start("python3", "-c", FORK_BOMB, pids_limit=50, user="1000:1000", **NONE)
    assert await_output(container, "all gone") == "7\n7\n7\nall gone\n"
    container.kill("TERM")
    assert ended(container).status == 143


@pytest.mark.parametrize("user", ["0:0", "1000:1000"])
def test_a_signal_cannot_end_or_stop_pid_1_from_inside(containers: Containers, user: str) -> None:
    """The kernel drops KILL and STOP from inside."""
    script = "kill -STOP 1; kill -KILL 1; (sleep 0.1 &); echo ready; sleep 100"
    container = containers.start("sh", "-c", script, user=user)
    await_output(container, "ready")
    eventually(lambda: processes(container), holds=lambda seen: len(seen) == 3)
    container.kill("TERM")
    assert ended(container).status == 143


def test_pyinitctl_imports_nothing_that_the_workload_may_write(
    engine: docker.DockerClient, containers: Containers, image: Image
) -> None:
    """Run by root in a container whose workload is another user: not from the working directory, PYTHONPATH or HOME."""
    plant = """
        import os
        for name in ("argparse", "json", "os", "re", "pyinit", "sitecustomize", "usercustomize", "zlib", "posix"):
            with open(f"/srv/{name}.py", "w") as file:
                file.write("raise SystemExit('hostile')")
        print("planted", flush=True)
        os.execvp("sleep", ["sleep", "100"])
    """
    options: dict[str, Any] = {
        "entrypoint": ["pyinit"],
        "working_dir": "/srv",
        "environment": {"PYTHONPATH": "/srv", "PYTHONUSERBASE": "/srv", "HOME": "/srv"},
    }
    with built(engine, WRITABLE.format(image=image.tags[0])) as writable:
        command = ["-u", "1000:1000", "--", "python3", "-ISc", f"if True:{plant}"]
        container = containers.start(*command, image=writable, **options)
        await_output(container, "planted")
        await_counters(container)
        for words in (["status"], ["zombies"], ["tree"], ["health"], ["clear"]):
            assert "hostile" not in execute(container, "pyinitctl", *words)
        containers.close()
