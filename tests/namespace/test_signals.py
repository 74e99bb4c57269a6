"""Every signal arrives."""

import json
import os
import signal

import psutil
import pytest

from pyinit.kernel.signals import CAUGHT, name_of

from .conftest import INTERPRETER, Run, Start, eventually, python

LISTEN = """if True:
    import _signal, sys
    everything = _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}
    _signal.pthread_sigmask(_signal.SIG_BLOCK, everything)
    print("ready", flush=True)
    for _ in range(int(sys.argv[1])):
        print(_signal.sigwaitinfo(everything).si_signo, flush=True)
"""
"""Print the number of each signal that comes, and exit after as many as the argument says."""


@pytest.mark.parametrize("number", CAUGHT, ids=name_of)
def test_a_signal_from_outside_reaches_the_workload(start: Start, number: int) -> None:
    """Each of 1 to 64, but for KILL and STOP, the C library's own 32 and 33, and those that stand for faults."""
    container = start("--", *python(LISTEN, "1"))
    container.expect("ready")
    container.signal(number)
    container.expect(str(number))
    assert container.end().status == 0


@pytest.mark.parametrize("number", sorted(set(range(1, 65)) - set(CAUGHT) - {signal.SIGKILL, signal.SIGSTOP}))
def test_a_signal_that_stands_for_a_fault_does_no_harm(start: Start, number: int) -> None:
    """The kernel shields PID 1 from these while it has no handler: pyinit lives on and does its work."""
    container = start("--", *python(LISTEN, "1"))
    container.expect("ready")
    container.signal(number)
    container.signal(signal.SIGUSR1)
    container.expect(str(int(signal.SIGUSR1)))
    assert container.end().status == 0


def test_real_time_signals_arrive_with_each_instance_and_in_order(start: Start) -> None:
    """They queue, unlike the others; the kernel hands out lower numbers first and each number in order."""
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


def test_a_signal_that_came_before_the_workload_waits_for_it(run: Run) -> None:
    """Pending when PID 1 was started: delivered when the workload runs."""
    pend_and_start = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [10, 34]);"
        "[os.kill(os.getpid(), number) for number in (34, 10, 34)]; os.execv(sys.argv[1], sys.argv[1:])"
    )
    ended = run("--", *python(LISTEN, "3"), before=python(pend_and_start))
    assert sorted(ended.out.split()[1:]) == ["10", "34", "34"], ended


GROUP = """if True:
    import os, signal, sys
    reader, writer = os.pipe()
    who = "workload" if os.fork() else "child"
    if who == "child" and "setsid" in sys.argv:
        os.setsid()
    def note(number, frame):
        os.write(1, f"{who} {number}\\n".encode())
    signal.signal(signal.SIGUSR1, note)
    if who == "child":
        os.write(writer, b"x")
    else:
        os.read(reader, 1)
        os.write(1, b"ready\\n")
    while True:
        signal.pause()
"""
"""A workload with a child, which leaves the session with the argument ``setsid``; each says which SIGUSR1 it got."""


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
    """The workload alone, its process group, or every process, also one that left the group."""
    container = start(option, "--", *python(GROUP, argument))
    container.expect("ready")
    container.signal(signal.SIGUSR1)
    seen = {container.line() for _ in receivers}
    assert seen == receivers


def test_rewriting_and_dropping(start: Start) -> None:
    """TO comes in place of FROM, and 0 drops."""
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
"""The child of the workload sends SIGUSR1 to PID 1, and lives until it has arrived."""


def test_verbose_says_who_sent_a_signal(start: Start) -> None:
    """From outside the namespace the sender has no pid; from inside it has one, and a name."""
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
    """A workload that drops its privileges: PID 1 is root and may signal anybody."""
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
    assert container.process.stderr is not None
    line = container.process.stderr.readline().decode()
    assert line == "pyinit: cannot forward SIGTERM: Operation not permitted\n"
    assert container.process.poll() is None


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
    assert start("--", *python(ping)).end().status == 0


ALARMS = """if True:
    import _signal, posix, sys
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGALRM])
    lost = 0
    for _ in range(1000):
        posix.kill(1, _signal.SIGALRM)
        lost += _signal.sigtimedwait([_signal.SIGALRM], 1) is None
    print("lost", lost)
    print(_signal.sigtimedwait([_signal.SIGALRM], 0.3))
"""


@pytest.mark.parametrize("options", [[], ["--zombie-watch=0.1"]])
def test_every_alarm_is_forwarded(start: Start, options: list[str]) -> None:
    """Each of them: pyinit has no timer of its own whose signal could swallow one."""
    ended = start(*options, "--", *python(ALARMS)).end()
    assert ended.status == 0 and not ended.err, ended
    lost, rest = ended.out.splitlines()
    assert (lost, rest) == ("lost 0", "None"), ended
