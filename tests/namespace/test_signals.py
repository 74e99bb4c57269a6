"""Every signal arrives."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from pyinit.kernel.signals import name_of
from testing.namespaces import IN_TIME, INTERPRETER, Container, python
from testing.waiting import eventually

from .conftest import Run, Start

SENDABLE = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
"""Every signal that can be caught: 1 to 64, except for KILL, STOP, and those that the C library reserves."""

FAULTS = [
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGSEGV,
    signal.SIGSYS,
]
"""Signals that the kernel raises for a program's fault. Any process may send them, too."""

PASS_ON = ["sh", "-c", '"$@"; exit $?', "sh"]
"""Words to put in front of the launcher: a shell is PID 1, and pyinit a subreaper below it."""

below_a_shell_too = pytest.mark.parametrize("before", [[], PASS_ON], ids=["as PID 1", "as a subreaper"])


def init_of(container: Container) -> psutil.Process:
    """pyinit: PID 1, or the child of a shell that is."""
    first = psutil.Process(container.init)
    if first.name() != "sh":
        return first
    eventually(first.children, "the shell has started pyinit")
    return first.children()[0]


LISTEN = """if True:
    import _signal, sys
    everything = _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}
    _signal.pthread_sigmask(_signal.SIG_BLOCK, everything)
    print("ready", flush=True)
    for _ in range(int(sys.argv[1])):
        print(_signal.sigwaitinfo(everything).si_signo, flush=True)
"""
"""Print the number of each signal that arrives; exit after as many as the argument says."""


@pytest.mark.parametrize("number", SENDABLE, ids=name_of)
def test_a_signal_from_outside_reaches_the_workload(start: Start, number: int) -> None:
    """Also one that stands for a fault: a watchdog asks for a core dump with ABRT."""
    container = start("--", *python(LISTEN, "1"))
    container.expect("ready")
    container.signal(number)
    container.expect(str(number))
    assert container.end().status == 0


@pytest.mark.parametrize("number", sorted({*range(1, 65)} - {*SENDABLE, signal.SIGKILL, signal.SIGSTOP}))
def test_a_signal_of_the_c_library_does_no_harm(start: Start, number: int) -> None:
    """The kernel protects PID 1 from these while it has no handler: pyinit runs on and works."""
    container = start("--", *python(LISTEN, "1"))
    container.expect("ready")
    container.signal(number)
    container.signal(signal.SIGUSR1)
    container.expect(str(int(signal.SIGUSR1)))
    assert container.end().status == 0


def test_a_subreaper_forwards_every_signal_from_outside_once(start: Start) -> None:
    """All in a row, except for CONT, which discards pending stops. The workload gets each of them and nothing else."""
    numbers = [number for number in SENDABLE if number != signal.SIGCONT]
    container = start("--", *python(LISTEN, str(len(numbers))), before=PASS_ON)
    container.expect("ready")
    init = init_of(container)
    for number in numbers:
        init.send_signal(number)
    ended = container.end()
    assert sorted(map(int, ended.out.split())) == numbers, ended
    assert (ended.status, ended.err) == (0, ""), ended


SEND_ALL = """if True:
    import _signal, posix, sys
    init, numbers = posix.getppid(), list(map(int, sys.argv[1:]))
    everything = _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP, _signal.SIGCHLD}
    _signal.pthread_sigmask(_signal.SIG_BLOCK, everything)
    if posix.fork() == 0:
        for number in numbers:
            posix.kill(init, number)
        posix._exit(0)
    while number := _signal.sigwaitinfo(everything).si_signo:
        print(number, flush=True)
        if number == numbers[-1]:
            posix._exit(0)
"""
"""The child of the workload sends these signals to pyinit; the workload prints those that arrive, up to the last."""


@below_a_shell_too
def test_a_child_of_the_workload_can_send_every_signal(start: Start, before: list[str]) -> None:
    """Each arrives once. (Except for CONT, which discards pending stops, and CHLD, which the kernel sends, too.)"""
    numbers = [number for number in SENDABLE if number not in (signal.SIGCHLD, signal.SIGCONT)]
    ended = start("--", *python(SEND_ALL, *map(str, numbers)), before=before).end()
    assert sorted(map(int, ended.out.split())) == numbers, ended
    assert (ended.status, ended.err) == (0, ""), ended


@below_a_shell_too
@pytest.mark.parametrize("number", FAULTS, ids=name_of)
def test_a_workload_dies_of_the_fault_that_it_was_sent(start: Start, before: list[str], number: int) -> None:
    """And pyinit does not. 134 for ABRT; nothing is reported, because it was asked for."""
    container = start("--", "sh", "-c", "ulimit -c 0; echo ready; exec sleep 60", before=before)
    container.expect("ready")
    init = init_of(container)
    [workload] = init.children()
    eventually(lambda: workload.name() == "sleep", "the workload has no handler")
    init.send_signal(number)
    ended = container.end()
    assert (ended.status, ended.err) == (128 + number, ""), ended


def test_a_fault_of_pyinit_ends_it(start: Start) -> None:
    """The kernel ends a process that has blocked the signal of its fault: pyinit neither loops nor hangs.

    The code that pyinit executes when it wakes up is overwritten with zeroes, which is not valid code.
    """
    container = start("--", *python(LISTEN, "1"))
    container.expect("ready")
    container.await_rest()
    process = Path(f"/proc/{container.init}")
    following = int((process / "syscall").read_text().split()[-1], 16)
    with open(process / "mem", "r+b", buffering=0) as memory:
        memory.seek(following)
        memory.write(bytes(64))
    container.signal(signal.SIGUSR1)
    ended = container.end()
    assert -ended.status in FAULTS, ended  # unshare(1) has passed it on to itself


def test_real_time_signals_arrive_with_each_instance_and_in_order(start: Start) -> None:
    """Unlike other signals they queue. The kernel delivers lower numbers first, and each number in order."""
    container = start("--", *python(LISTEN, "600"))
    container.expect("ready")
    init = container.init
    os.kill(init, signal.SIGSTOP)
    eventually(lambda: psutil.Process(init).status() == psutil.STATUS_STOPPED, "PID 1 is stopped")
    for _ in range(200):
        for number in (signal.SIGRTMIN + 2, signal.SIGRTMIN, signal.SIGRTMAX):
            os.kill(init, number)
    os.kill(init, signal.SIGCONT)
    numbers = [int(line) for line in container.end().out.split()]
    assert numbers.count(signal.SIGCONT) == 1, "the SIGCONT that continued pyinit is forwarded too"
    real_time = [number for number in numbers if number != signal.SIGCONT]
    assert len(real_time) == 599
    assert sorted(real_time) == real_time


@pytest.mark.parametrize("numbers", [[10, signal.SIGRTMIN, signal.SIGRTMIN], [*FAULTS]], ids=["others", "faults"])
def test_a_signal_that_came_before_the_workload_waits_for_it(run: Run, numbers: list[int]) -> None:
    """It was pending when PID 1 was started, and is delivered when the workload runs."""
    pend_and_start = (
        "import os, signal, sys; numbers = eval(sys.argv[1]); signal.pthread_sigmask(signal.SIG_BLOCK, numbers);"
        "[os.kill(os.getpid(), number) for number in numbers]; os.execv(sys.argv[2], sys.argv[2:])"
    )
    before = python(pend_and_start, str([*map(int, numbers)]))
    ended = run("--", *python(LISTEN, str(len(numbers))), before=before)
    assert sorted(map(int, ended.out.split()[1:])) == sorted(numbers), ended


GROUP = """if True:
    import os, signal, sys
    reader, writer = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    who = "workload" if os.fork() else "child"
    if who == "child" and "setsid" in sys.argv:
        os.setsid()
    if who == "child":
        os.write(writer, b"x")
    else:
        os.read(reader, 1)
        os.write(1, b"ready\\n")
    while True:
        number = signal.sigwait([signal.SIGUSR1])
        os.write(1, f"{who} {int(number)}\\n".encode())
"""
"""A workload with a child, which leaves the session with the argument ``setsid``. Each says when it gets SIGUSR1."""


@pytest.mark.parametrize(
    ("option", "argument", "receivers"),
    [
        ("-c", "", {"workload 10"}),
        ("-g", "", {"workload 10", "child 10"}),
        ("-g", "setsid", {"workload 10"}),
        ("--forward-to=all", "setsid", {"workload 10", "child 10"}),
    ],
)
def test_who_receives_a_signal_can_be_chosen(start: Start, option: str, argument: str, receivers: set[str]) -> None:
    """The workload alone, its process group, or every process, even one that left the group."""
    container = start(option, "--", *python(GROUP, argument))
    container.expect("ready")
    container.signal(signal.SIGUSR1)
    seen = {container.line() for _ in receivers}
    assert seen == receivers


def test_rewriting_and_dropping(start: Start) -> None:
    """TO arrives in place of FROM, and 0 drops it."""
    container = start("-v", "-r", "TERM:QUIT", "-r", "HUP:0", "--", *python(LISTEN, "2"))
    container.expect("ready")
    container.signal(signal.SIGHUP)
    container.signal(signal.SIGTERM)
    container.expect(str(int(signal.SIGQUIT)))
    container.signal(signal.SIGINT)
    container.expect(str(int(signal.SIGINT)))
    lines = container.end().err.splitlines()
    assert "pyinit: SIGHUP from outside the container, dropped" in lines
    assert "pyinit: SIGTERM from outside the container, forwarded as SIGQUIT" in lines


SEND_FROM_CHILD = """if True:
    import _signal, posix
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGUSR1, _signal.SIGTERM])
    child = posix.fork()
    if child == 0:
        posix.kill(1, _signal.SIGUSR1)
        _signal.sigwait([_signal.SIGTERM])
        posix._exit(0)
    _signal.sigwait([_signal.SIGUSR1])
    print(child)
    posix.kill(child, _signal.SIGTERM)
    posix.waitpid(child, 0)
"""
"""The child of the workload sends SIGUSR1 to PID 1, and runs until the signal has arrived."""


def test_verbose_says_who_sent_a_signal(start: Start) -> None:
    """A sender outside of the namespace has no pid. One inside has a pid and a name."""
    container = start("-v", "--", *python(LISTEN, "1"))
    container.expect("ready")
    container.signal(signal.SIGTERM)
    container.expect("15")
    assert "pyinit: SIGTERM from outside the container, forwarded to child\n" in container.end().err
    ended = start("-v", "--", *python(SEND_FROM_CHILD)).end()
    child = int(ended.out)
    name = os.path.basename(INTERPRETER)[:15]
    assert f"pyinit: SIGUSR1 from pid {child} ({name}), forwarded to child\n" in ended.err, ended


def test_json_lines_carry_the_same_facts(start: Start) -> None:
    """One object a line, with stable names."""
    container = start("-v", "--log-format=json", "--", *python(LISTEN, "1"))
    container.expect("ready")
    container.signal(signal.SIGTERM)
    records = [json.loads(line) for line in container.end().err.splitlines()]
    assert [record["event"] for record in records] == ["started", "signal", "ended"]
    facts = {key: records[1][key] for key in ("level", "signal", "sender_pid", "delivered", "to")}
    assert facts == {"level": "info", "signal": "SIGTERM", "sender_pid": 0, "delivered": "SIGTERM", "to": "child"}


def test_a_workload_of_another_user_still_gets_its_signals(start: Start) -> None:
    """The workload drops its privileges. PID 1 is root and may signal any process."""
    drop = "import os; os.setgroups([]); os.setgid(1000); os.setuid(1000)\n"
    container = start("--", *python(drop + LISTEN, "1"))
    container.expect("ready")
    container.signal(signal.SIGTERM)
    container.expect("15")
    assert container.end().status == 0


def test_a_signal_that_cannot_be_delivered_is_a_log_line(start: Start) -> None:
    """EPERM: root without CAP_KILL, and a workload that has become another user."""
    without_kill = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"]
    drop = "import os; os.setgroups([]); os.setgid(1002); os.setuid(1002)\n"
    container = start("--", *python(drop + LISTEN, "1"), before=without_kill)
    container.expect("ready")
    container.signal(signal.SIGTERM)
    line = container.error_line()
    assert line == "pyinit: cannot forward SIGTERM: Operation not permitted\n"
    assert container.process.poll() is None


DROP_PRIVILEGES = "import os; os.setgroups([]); os.setgid(1002); os.setuid(1002)\n"


def test_signals_that_cannot_be_delivered_are_logged_once(start: Start) -> None:
    """Twenty signals of several kinds to a workload that has become another user make one line."""
    without_kill = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"]
    container = start("--", *python(DROP_PRIVILEGES + LISTEN, "1"), before=without_kill)
    container.expect("ready")
    status = Path(f"/proc/{container.init}/status")
    kinds = [signal.SIGUSR1, signal.SIGWINCH, signal.SIGHUP, signal.SIGTERM, signal.SIGRTMIN]
    for number in [*kinds, *kinds[:3] * 5]:
        container.signal(number)
        eventually(lambda: "ShdPnd:\t0000000000000000" in status.read_text(), "PID 1 has taken the signal")
    container.await_rest()
    [workload] = psutil.Process(container.init).children()
    workload.kill()
    ended = container.end()
    assert ended.status == 137
    lines = ended.err.splitlines()
    assert lines[:-1] == ["pyinit: cannot forward SIGUSR1: Operation not permitted"], ended
    assert "was killed by SIGKILL" in lines[-1], ended


FOREIGN_ORPHAN = """if True:
    import os, sys, time
    reader, writer = os.pipe()
    if not os.fork():
        if os.fork():
            os.read(reader, 1)
            os._exit(0)
        os.setuid(1002)
        os.write(writer, b"+")
        time.sleep(60)
    sys.stdin.readline()
"""
"""Leave an orphan of another user, and end with the next line of standard input."""


def test_a_signal_that_is_tried_again_is_logged_once(start: Start) -> None:
    """pyinit tries to end such an orphan because it is an orphan, and again in the drain."""
    without_kill = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"]
    options = ["--orphans=terminate", "--drain-timeout=0.2"]
    container = start(*options, "--", *python(FOREIGN_ORPHAN), before=without_kill, stdin=subprocess.PIPE)
    told = [container.error_line() for _ in range(2)]
    container.say()
    ended = container.end()
    told += ended.err.splitlines(keepends=True)
    failures = [line for line in told if "Operation not permitted" in line]
    assert re.fullmatch(r"pyinit: cannot send SIGTERM to python3[.\d]* \(pid \d+\): Operation not permitted\n", told[0])
    assert len(failures) == len(set(failures)), (told, ended)


def test_ten_thousand_signals_in_a_row_are_answered(start: Start) -> None:
    """One after the other, none lost."""
    ping = """if True:
        import _signal, posix, sys
        number = int(_signal.SIGRTMIN)
        _signal.pthread_sigmask(_signal.SIG_BLOCK, [number])
        for _ in range(10_000):
            posix.kill(1, number)
            _signal.sigwait([number])
    """
    assert start("--", *python(ping), before=IN_TIME).end(patience=480).status == 0


ALARMS = """if True:
    import _signal, posix, sys
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGALRM])
    lost = 0
    for _ in range(1000):
        posix.kill(1, _signal.SIGALRM)
        lost += _signal.sigtimedwait([_signal.SIGALRM], 60) is None
    print("lost", lost)
    print(_signal.sigtimedwait([_signal.SIGALRM], 0.3))
"""


@pytest.mark.parametrize("options", [[], ["--zombie-watch=0.1"]])
def test_every_alarm_is_forwarded(start: Start, options: list[str]) -> None:
    """pyinit has no timer of its own whose signal could be merged with one."""
    ended = start(*options, "--", *python(ALARMS), before=IN_TIME).end(patience=240)
    assert ended.status == 0 and not ended.err, ended
    lost, rest = ended.out.splitlines()
    assert (lost, rest) == ("lost 0", "None"), ended
