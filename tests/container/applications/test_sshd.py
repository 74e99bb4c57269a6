"""Processes of another user: those of a login, and those that `su` and setuid programs start."""

import re
import signal
from collections.abc import Iterator

import docker
import pytest
from docker.models.containers import Container
from docker.models.images import Image

from testing.containers import Containers, await_output, ended, execute, printed, processes, read_file, stopped
from testing.images import built
from testing.waiting import eventually

from .conftest import Recipe

SSH = ("ssh", "-i", "/tmp/key", "-o", "StrictHostKeyChecking=accept-new", "app@127.0.0.1")

ENROL = (
    "ssh-keygen -q -t ed25519 -N '' -f /tmp/key"
    " && install -D --owner=app --mode=600 /tmp/key.pub /home/app/.ssh/authorized_keys"
)

# Prints the signals that it gets. After TERM it takes the given number of seconds to save its work.
REPORTER = """
import os, signal, sys, time
handled = {signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, handled)
print(f"ready as {os.getuid()}", flush=True)
got = None
while got != signal.SIGTERM:
    got = signal.sigwait(handled)
    print(got.name, flush=True)
time.sleep(float(sys.argv[1]))
print("saved", flush=True)
"""


@pytest.fixture(scope="module")
def with_guest(engine: docker.DockerClient, recipe: Recipe) -> Iterator[Image]:
    """The recipe's image with a second user without a password, and a setuid program that works like sudo."""
    become = "RUN useradd guest && passwd -d guest && chmod u+s /usr/bin/setpriv\n"
    with built(engine, f"FROM {recipe('sshd').tags[0]}\n{become}") as image:
        yield image


def start(containers: Containers) -> Container:
    """Start a container that `app` can log in to."""
    container = containers.start()
    await_output(container, "Server listening on 0.0.0.0")
    execute(container, "sh", "-c", ENROL)
    return container


def test_process_that_outlives_its_login_saves_its_work(containers: Containers) -> None:
    """It belongs to another user, and is no longer a child of sshd. `docker stop` sends it TERM and waits for it."""
    container = start(containers)
    execute(container, *SSH, f": >work; python3 -c '{REPORTER}' 1 >work 2>&1 </dev/null &")
    eventually(lambda: read_file(container, "/home/app/work"), holds=lambda text: text == "ready as 1000\n")
    # The processes of the login have exited, without a zombie: only sshd and that process are left.
    eventually(
        lambda: [(process.parent, process.state) for process in processes(container)[1:]],
        holds=lambda seen: seen == [(1, "S")] * 2,
    )
    end = stopped(container)
    assert end.status == 0, end
    assert "pyinit" not in end.errors
    assert read_file(container, "/home/app/work") == "ready as 1000\nSIGTERM\nsaved\n"


def test_hup_reloads_sshd_and_keeps_the_logins(containers: Containers) -> None:
    """sshd re-executes itself with the same pid. Existing logins stay, and new ones get the new configuration."""
    container = start(containers)
    container.exec_run([*SSH, "exec sleep 100"], detach=True)
    # PID 1, sshd, its two processes for the login, and the command of the login.
    before = eventually(
        lambda: [(process.pid, process.command) for process in processes(container)],
        holds=lambda seen: len(seen) == 5 and seen[-1][1] == "sleep 100",
    )
    execute(container, "sh", "-c", "echo 'ForceCommand echo reloaded' >/etc/ssh/sshd_config.d/forced.conf")
    container.kill("HUP")
    eventually(lambda: container.logs().decode(), holds=lambda said: said.count("Server listening on 0.0.0.0") == 2)
    assert printed(container, *SSH, "echo old").endswith("reloaded\n")
    eventually(
        lambda: [process.pid for process in processes(container)], holds=lambda seen: seen == [pid for pid, _ in before]
    )


def test_su_keeps_signals_from_the_workload_and_kills_it_after_two_seconds(containers: Containers) -> None:
    """su forwards TERM, but no other signal. No init can change that."""
    container = containers.start("su", "app", "-c", f"exec python3 -c '{REPORTER}' 4")
    await_output(container, "ready as 1000\n")
    container.kill("HUP")
    container.kill("USR1")
    end = stopped(container)
    assert (end.status, end.output) == (143, "ready as 1000\nSIGTERM\n"), end


def test_workload_of_another_user_gets_its_signals_with_the_user_option(containers: Containers) -> None:
    """No process is in between. Each signal arrives, and the workload has the time it needs."""
    container = containers.start("python3", "-c", REPORTER, "4", environment={"PYINIT_USER": "app"})
    await_output(container, "ready as 1000\n")
    for name in ("HUP", "USR1"):
        container.kill(name)
        await_output(container, f"SIG{name}\n")
    end = stopped(container)
    assert (end.status, end.errors) == (0, "")
    assert end.output == "ready as 1000\nSIGHUP\nSIGUSR1\nSIGTERM\nsaved\n"


def test_process_that_a_non_root_pyinit_may_not_signal_is_named(containers: Containers, with_guest: Image) -> None:
    """A log line names the daemon of another user, which ends with PID 1. The status is the workload's."""
    leave = 'su guest -c "setsid sleep 100 &"; echo ready; exec sleep 200'
    container = containers.start(
        "sh", "-c", leave, image=with_guest, user="app", environment={"PYINIT_DRAIN_TIMEOUT": "1"}
    )
    await_output(container, "ready\n")
    # Now the daemon runs its program, and is a child of pyinit.
    eventually(
        lambda: [(process.parent, process.command) for process in processes(container)[1:]],
        holds=lambda seen: sorted(seen) == [(1, "sleep 100"), (1, "sleep 200")],
    )
    end = stopped(container)
    assert end.status == 143, end
    for name in ("SIGTERM", "SIGKILL"):
        assert re.search(rf"pyinit: cannot send {name} to sleep \(pid \d+\): Operation not permitted\n", end.errors), (
            end
        )


def test_workload_that_a_non_root_pyinit_may_not_signal_does_not_outlive_its_timeouts(
    containers: Containers, with_guest: Image
) -> None:
    """pyinit may not signal it, which is logged once. After the stop timeout pyinit exits, and the kernel kills it."""
    become = ("setpriv", "--reuid=guest", "--clear-groups")
    timeouts = {"PYINIT_STOP_TIMEOUT": "1", "PYINIT_DRAIN_TIMEOUT": "1"}
    container = containers.start(
        *become, "sh", "-c", "echo ready; exec sleep 100", image=with_guest, user="app", environment=timeouts
    )
    await_output(container, "ready\n")
    container.kill("HUP")
    await_output(container, "pyinit: cannot forward SIGHUP: Operation not permitted\n")
    container.stop(timeout=30)  # long enough that the engine does not kill PID 1, which then could not log
    end = ended(container)
    assert end.status == 128 + signal.SIGKILL, end
    lines = (
        r"pyinit: cannot forward SIGHUP: Operation not permitted\n"
        r"pyinit: cannot kill pid (\d+): Operation not permitted\n"
        r"pyinit: pid \1 does not end: going on without it\n"
        r"pyinit: setpriv \(pid \1\) does not end, and is given up after .*\n"
    )
    assert re.fullmatch(lines, end.errors), end
