"""pyinit is stopped for longer than it would wait, and still meets its deadlines."""

import os
import signal
import subprocess
import time
from contextlib import suppress

import psutil
import pytest

from testing.namespaces import INTERPRETER, Container, python
from testing.waiting import PATIENCE, eventually

from .conftest import Start

LISTEN = """if True:
    import _signal, posix, sys, time
    everything = _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}
    _signal.pthread_sigmask(_signal.SIG_BLOCK, everything)
    start = time.monotonic()
    posix.write(1, b"ready\\n")
    while (number := _signal.sigwaitinfo(everything).si_signo) != _signal.SIGTERM:
        posix.write(1, f"{number} {time.monotonic() - start}\\n".encode())
"""
"""Print the number of each signal that arrives, and the seconds since the start; end at SIGTERM."""

WATCH = "--zombie-watch=0.1"


def stop_and_continue(container: Container, seconds: float, *meanwhile: int) -> None:
    """Stop PID 1 for some time, and send it signals meanwhile."""
    init = psutil.Process(container.init)
    init.suspend()
    deadline = time.monotonic() + PATIENCE
    while init.status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline
    time.sleep(seconds)
    for number in meanwhile:
        container.signal(number)
    init.resume()


def numbers(text: str) -> list[int]:
    """The signals that `LISTEN` has printed."""
    return [int(line.split()[0]) for line in text.splitlines() if line != "ready"]


@pytest.mark.parametrize("options", [[], [WATCH], ["--stop-timeout=60", WATCH]])
def test_a_stop_that_outlasts_a_wait_makes_up_no_signal(start: Start, options: list[str]) -> None:
    """The workload gets the signals that were sent, and the log has no others."""
    container = start("-vv", *options, "--", *python(LISTEN))
    container.expect("ready")
    time.sleep(0.2)  # until pyinit has loaded what it loads after the start
    sent = []
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR1):
        container.signal(number)  # the counters are published a moment later, and a timer is set for that
        assert numbers(container.line()) == [number]
        stop_and_continue(container, 0.25)
        assert numbers(container.line()) == [signal.SIGCONT]
        sent += [number.name, "SIGCONT"]
    stop_and_continue(container, 0.25)
    assert numbers(container.line()) == [signal.SIGCONT]
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert (ended.status, ended.out) == (0, ""), ended
    events = ended.err.splitlines()[1:-1]
    assert events == [
        f"pyinit: {name} from outside the container, forwarded to child" for name in [*sent, "SIGCONT", "SIGTERM"]
    ]


def test_an_alarm_that_is_sent_during_a_stop_arrives(start: Start) -> None:
    """Even if a wait has timed out meanwhile."""
    container = start(WATCH, "--", *python(LISTEN))
    container.expect("ready")
    time.sleep(0.2)
    stop_and_continue(container, 0.25, signal.SIGALRM)
    seen = [container.line(), container.line()]
    container.signal(signal.SIGTERM)
    assert sorted(numbers("\n".join([*seen, container.end().out]))) == [signal.SIGALRM, signal.SIGCONT]


IGNORES_TERM = (
    "import _signal, posix; _signal.signal(15, _signal.SIG_IGN); posix.write(1, b'ready\\n'); _signal.pause()"
)


@pytest.mark.parametrize("options", [[], ["--zombie-watch=0.01"]])
def test_the_stop_timeout_is_met(start: Start, options: list[str]) -> None:
    """Not before and not long after, whatever other timers there are."""
    container = start("--stop-timeout=0.4", *options, "--", *python(IGNORES_TERM))
    container.expect("ready")
    time.sleep(0.1)
    init = container.init
    begin = time.monotonic()
    os.kill(init, signal.SIGTERM)
    while time.monotonic() < begin + 0.2:
        time.sleep(0.03)
        with suppress(ProcessLookupError):
            os.kill(init, signal.SIGCONT)
    assert container.end().status == 137
    assert 0.4 <= time.monotonic() - begin < 20


@pytest.mark.parametrize("options", [[], ["--zombie-watch=0.01"]])
def test_the_drain_timeout_is_met(start: Start, options: list[str]) -> None:
    """The same for stragglers."""
    program = f"'{python('')[0]}' -ISc \"$0\" & read line; exit 3"
    container = start("--drain-timeout=0.4", *options, "--", "sh", "-c", program, IGNORES_TERM, stdin=subprocess.PIPE)
    container.expect("ready")
    begin = time.monotonic()
    container.say()
    ended = container.end()
    assert 0.4 <= time.monotonic() - begin < 20, ended
    assert ended.status == 3 and "1 straggler killed" in ended.err, ended


COUNTS = """if True:
    import os, signal, sys
    count = 0
    def heard(*_):
        global count
        count += 1
        os.write(1, b"heard\\n")
    signal.signal(signal.SIGTERM, heard)
    print("ready", flush=True)
    sys.stdin.readline()
    print(count)
"""
"""Count each SIGTERM until a line can be read."""


def test_a_stop_that_a_platform_sends_to_every_process_can_be_delivered_once(start: Start) -> None:
    """As Heroku does, and systemd with KillMode=control-group. A second SIGTERM could mean "at once" to the workload.
    If pyinit drops its own, the workload gets only the one from the platform."""
    container = start("-v", "-r", "TERM:0", "--", INTERPRETER, "-c", COUNTS, stdin=subprocess.PIPE)
    container.expect("ready")
    for process in (*psutil.Process(container.init).children(), psutil.Process(container.init)):
        process.terminate()
    container.error_line("SIGTERM from outside the container, dropped")
    container.expect("heard")
    container.say()
    container.expect("1")
    assert container.end().status == 0


@pytest.mark.parametrize("name", ["TERM", "INT", "QUIT"])
def test_a_stopped_workload_gets_a_stop_signal(start: Start, name: str) -> None:
    """It is continued, as systemd does: its handler runs, and no work is lost."""
    program = f"trap 'echo saved; exit 4' {name}; echo ready; kill -STOP $$; while :; do sleep 0.05; done"
    container = start("--", "sh", "-c", program)
    container.expect("ready")
    (workload,) = psutil.Process(container.init).children()
    eventually(lambda: workload.status() == psutil.STATUS_STOPPED, "the workload is stopped")
    container.signal(signal.Signals[f"SIG{name}"])
    ended = container.end()
    assert (ended.status, ended.out) == (4, "saved\n"), ended
