"""By the name dumb-init, stops suspend the same processes as under dumb-init, which runs each test as well.

TSTP, TTIN and TTOU are forwarded to the workload (as STOP in a session of its own). Then the init stops itself, whoever
sent them and whatever they are rewritten to. CONT continues it, and is forwarded, too.
"""

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import psutil
import pytest

from testing import terminals
from testing.namespaces import UNSHARE, Container, clean_environment, python
from testing.waiting import PATIENCE, eventually

from .test_like_peers import inits, peer_of  # noqa: F401
from .test_signals import LISTEN

STOPS = [signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU]

STAGE = """if True:
    import os, sys
    group, *command = sys.argv[1:]
    if job := os.fork():
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(job, 0)[1]))
    if group == "orphaned":
        os.setsid()
    else:
        os.setpgid(0, 0)
    orders = os.fdopen(os.dup(0))
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    init = os.posix_spawn(command[0], command, os.environ)
    for order in orders:
        sender, number = order.split()
        if sender == "member":
            os.kill(init, int(number))
        elif child := os.fork():
            os.waitpid(child, 0)
        else:
            os.setpgid(0, 0)
            os.kill(init, int(number))
            os._exit(0)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(init, 0)[1]))
"""
"""PID 1 leads a session, like a shell. Its child leads a process group, in that session or in one of its own, in which
the init is another member; sends the init the ordered signals, itself or through a process of another group; and
ends with the status of the init."""

ALL_BLOCKED = str(10**6)
"""The argument that makes `LISTEN` go on without end."""


class Stage:
    """An init in a process group, and the workload below it, which prints the number of each signal that it gets."""

    def __init__(self, command: list[str], group: str, **variables: str) -> None:
        self.container = Container(
            [*UNSHARE, *python(STAGE, group), *command],
            stdin=subprocess.PIPE,
            env=clean_environment(**variables),
            start_new_session=True,
        )
        self.container.expect("ready")
        [job] = psutil.Process(self.container.init).children()
        [self.init] = [child for child in job.children() if child.children()]
        [self.workload] = self.init.children()

    def send(self, sender: str, number: int) -> None:
        """Send the init a signal: as a member of its group, as another process inside, or from outside."""
        if sender == "outside":
            self.init.send_signal(number)
        else:
            self.container.say(f"{sender} {int(number)}")

    def is_suspended(self) -> bool:
        """Has the init stopped?"""
        return self.init.status() == psutil.STATUS_STOPPED

    def hears(self, number: int) -> None:
        """Check that the workload gets this signal next."""
        self.container.expect(str(int(number)))

    def end(self) -> int:
        """Let the init end by itself; return its status."""
        assert self.container.process.stdin is not None
        self.container.process.stdin.close()
        self.container.process.stdin = None
        return self.container.end().status


Set = Callable[..., Stage]


@pytest.fixture(params=["dumb-init", "pyinit"])
def init(request: pytest.FixtureRequest, inits: dict[str, str]) -> str:  # noqa: F811
    """dumb-init, and pyinit by its name."""
    return inits["dumb-init"] if request.param == "pyinit" else peer_of("dumb-init")


@pytest.fixture
def stage(init: str) -> Iterator[Set]:
    """Start an init with these options and variables; it is killed after the test."""
    stages: list[Stage] = []

    def stage(*options: str, group: str = "orphaned", **variables: str) -> Stage:
        command = [init, *options, "--", *python(LISTEN, ALL_BLOCKED)]
        stages.append(Stage(command, group, **variables))
        return stages[-1]

    yield stage
    for each in stages:
        each.container.process.kill()  # and everything in it
        each.container.process.communicate()


everywhere = pytest.mark.parametrize("group", ["orphaned", "in a session"])
"""The init's process group: without a shell that could continue it, and with one."""

whoever_sends = pytest.mark.parametrize("sender", ["member", "another", "outside"])
"""A process of that group, of another group, and of another PID namespace."""


@everywhere
@whoever_sends
def test_a_stop_suspends_a_session_and_the_init(stage: Set, group: str, sender: str) -> None:
    """STOP stops the workload, then the init stops. CONT continues both."""
    set_up = stage(group=group)
    for number in STOPS:
        set_up.send(sender, number)
        eventually(set_up.is_suspended, "the init has stopped")
        eventually(lambda: set_up.workload.status() == psutil.STATUS_STOPPED, "the workload is stopped")
        set_up.send(sender, signal.SIGCONT)
        eventually(lambda: not set_up.is_suspended(), "the init goes on")
        set_up.hears(signal.SIGCONT)
    set_up.send(sender, signal.SIGTERM)
    set_up.hears(signal.SIGTERM)


@everywhere
@whoever_sends
@pytest.mark.parametrize(("options", "variables"), [(["-c"], {}), ([], {"DUMB_INIT_SETSID": "0"})])
def test_a_single_child_gets_the_stop_itself(
    stage: Set, group: str, sender: str, options: list[str], variables: dict[str, str]
) -> None:
    """Unchanged. This workload does not stop for it, but the init does."""
    set_up = stage(*options, group=group, **variables)
    for number in STOPS:
        set_up.send(sender, number)
        set_up.hears(number)
        eventually(set_up.is_suspended, "the init has stopped")
        set_up.send(sender, signal.SIGCONT)
        set_up.hears(signal.SIGCONT)
        eventually(lambda: not set_up.is_suspended(), "the init goes on")
    set_up.send(sender, signal.SIGTERM)
    set_up.hears(signal.SIGTERM)


@pytest.mark.parametrize("mode", [[], ["-c"]], ids=["session", "single child"])
@pytest.mark.parametrize("sender", ["member", "another"])
def test_a_rewritten_stop_suspends_the_init_all_the_same(stage: Set, mode: list[str], sender: str) -> None:
    """The workload gets the other signal, or, with 0, none."""
    set_up = stage(*mode, "-r", "20:1", "-r", "21:0", "-r", "22:20")
    for number, heard in ((signal.SIGTSTP, signal.SIGHUP), (signal.SIGTTIN, 0), (signal.SIGTTOU, signal.SIGTSTP)):
        set_up.send(sender, number)
        if heard:
            set_up.hears(heard)
        eventually(set_up.is_suspended, "the init has stopped")
        set_up.send(sender, signal.SIGCONT)
        set_up.hears(signal.SIGCONT)
        eventually(lambda: not set_up.is_suspended(), "the init goes on")


@pytest.mark.parametrize("mode", [[], ["-c"]], ids=["session", "single child"])
def test_while_it_is_suspended_nothing_is_lost(stage: Set, mode: list[str]) -> None:
    """A signal that arrives meanwhile is delivered after SIGCONT."""
    set_up = stage(*mode)
    set_up.send("another", signal.SIGTTIN)
    eventually(set_up.is_suspended, "the init has stopped")
    if mode:
        set_up.hears(signal.SIGTTIN)
    set_up.send("another", signal.SIGTERM)
    set_up.send("another", signal.SIGCONT)
    set_up.hears(signal.SIGTERM)
    set_up.hears(signal.SIGCONT)


@pytest.mark.parametrize("mode", [[], ["-c"]], ids=["session", "single child"])
def test_the_end_of_the_workload_waits_until_the_init_goes_on(stage: Set, mode: list[str]) -> None:
    """Then it returns the workload's status."""
    set_up = stage(*mode)
    set_up.send("another", signal.SIGTSTP)
    eventually(set_up.is_suspended, "the init has stopped")
    set_up.workload.kill()
    eventually(lambda: set_up.workload.status() == psutil.STATUS_ZOMBIE, "the workload is dead")
    assert set_up.is_suspended()
    set_up.send("another", signal.SIGCONT)
    assert set_up.end() == 128 + signal.SIGKILL


@pytest.mark.parametrize("mode", [[], ["-c"]], ids=["session", "single child"])
def test_every_other_signal_is_forwarded_to_the_workload(stage: Set, mode: list[str]) -> None:
    """All up to 31, from a member of the group, even those that stand for a fault."""
    set_up = stage(*mode)
    others = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, *STOPS}
    for number in sorted({*range(1, 32)} - others):
        set_up.send("member", number)
        set_up.hears(number)


@pytest.mark.parametrize("mode", [[], ["-c"]], ids=["session", "single child"])
def test_on_a_terminal_it_is_the_same(init: str, mode: list[str]) -> None:
    """The init leads the terminal's session, as with ``docker exec -it``: no shell could continue it."""
    child = pexpect.spawn(
        init, [*mode, "--", *python(LISTEN, ALL_BLOCKED)], env=clean_environment(), encoding="utf-8", timeout=PATIENCE
    )
    try:
        child.expect_exact("ready\r\n")
        process = psutil.Process(child.pid)
        [workload] = process.children()
        for number in STOPS:
            process.send_signal(number)
            eventually(lambda: process.status() == psutil.STATUS_STOPPED, "the init has stopped")
            if mode:
                child.expect_exact(f"{int(number)}\r\n")
            else:
                eventually(lambda: workload.status() == psutil.STATUS_STOPPED, "the workload is stopped")
            process.send_signal(signal.SIGCONT)
            child.expect_exact(f"{int(signal.SIGCONT)}\r\n")
            eventually(lambda: process.status() != psutil.STATUS_STOPPED, "the init goes on")
    finally:
        terminals.end(child)


@pytest.mark.parametrize("sender", ["inside", "outside"])
def test_as_pid_1_the_workload_is_suspended_alone(init: str, sender: str) -> None:
    """The kernel does not stop PID 1 at its own request, so it goes on reaping and forwarding."""
    container = Container([*UNSHARE, init, *python(LISTEN, ALL_BLOCKED)], env=clean_environment())
    try:
        container.expect("ready")
        first = psutil.Process(container.init)
        [workload] = first.children()

        def send(number: int) -> None:
            if sender == "outside":
                first.send_signal(number)
            else:
                enter = ["nsenter", f"--target={first.pid}", "--pid", "sh", "-c", f"kill -{int(number)} 1"]
                subprocess.run(enter, check=True)

        for number in STOPS:
            send(number)
            eventually(lambda: workload.status() == psutil.STATUS_STOPPED, "the workload is stopped")
            send(signal.SIGUSR1)
            eventually(lambda: has_pending(workload.pid, signal.SIGUSR1), "PID 1 still forwards")
            send(signal.SIGCONT)
            container.expect(str(int(signal.SIGUSR1)))
            container.expect(str(int(signal.SIGCONT)))
    finally:
        container.process.kill()
        container.process.communicate()


def has_pending(pid: int, number: int) -> bool:
    """Is a signal pending in a process?"""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["ShdPnd"], 16) >> number - 1 & 1)


def test_by_its_own_name_pyinit_stops_only_with_the_workload(launcher: str) -> None:
    """If the workload catches the signal and does not stop, pyinit does not stop either."""
    set_up = Stage([launcher, "--", *python(LISTEN, ALL_BLOCKED)], "orphaned")
    try:
        for number in STOPS:
            set_up.send("another", number)
            set_up.hears(number)
            set_up.send("another", signal.SIGUSR1)
            set_up.hears(signal.SIGUSR1)
            assert not set_up.is_suspended()
    finally:
        set_up.container.process.kill()
        set_up.container.process.communicate()
