"""Names and numbers of signals."""

import os
import signal
import subprocess
import sys

import pytest

from pyinit import signals


@pytest.mark.parametrize("number", sorted(signals.ALL))
def test_a_name_leads_back_to_its_number(number: int) -> None:
    """Every signal has a name, and the name without SIG, in any case, is understood."""
    name = signals.name_of(number)
    assert name.startswith("SIG")
    assert signals.number_of(name) == number
    assert signals.number_of(name.removeprefix("SIG").lower()) == number
    assert signals.number_of(str(number)) == number


def test_the_standard_names_are_those_of_signal_7() -> None:
    """An alias (SIGCLD, SIGPOLL) is understood and never printed."""
    for number in range(1, 32):
        assert signals.name_of(number) == signal.Signals(number).name
    assert signals.number_of("CLD") == signal.SIGCHLD
    assert signals.number_of("POLL") == signal.SIGIO


def test_real_time_signals_are_counted_from_both_ends() -> None:
    """RTMIN+n and RTMAX-n are the same signals."""
    assert signals.number_of("RTMIN+3") == signal.SIGRTMIN + 3
    assert signals.number_of("SIGRTMAX-3") == signal.SIGRTMAX - 3
    assert signals.number_of("RTMAX") == signal.SIGRTMAX
    assert signals.number_of("RTMIN+30") == signal.SIGRTMAX
    assert signals.name_of(signal.SIGRTMIN + 3) == "SIGRTMIN+3"
    assert signals.name_of(signal.SIGRTMAX - 3) == "SIGRTMAX-3"


NO_SIGNALS = ["", "0", "32", "33", "65", "-1", "9" * 50, "1.5", " 15", "\udcff", "٣"]
NO_NAMES = ["TERMINATE", "_BLOCK", "BLOCK", "RTMIN+31", "RTMAX+1", "RTMIN-1", "SIG", "SIGSIGTERM"]


@pytest.mark.parametrize("text", NO_SIGNALS + NO_NAMES)
def test_what_names_no_signal_is_refused(text: str) -> None:
    """32 and 33 belong to the C library and cannot be sent or caught by name."""
    with pytest.raises(ValueError, match="there is no signal"):
        signals.number_of(text)


def test_what_is_caught_is_everything_but_faults_kill_and_stop() -> None:
    """DESIGN: all that can be caught and is not raised by the kernel for a fault of pyinit's own."""
    faults = {
        signal.SIGILL,
        signal.SIGTRAP,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGSEGV,
        signal.SIGSYS,
    }
    never = faults | {signal.SIGKILL, signal.SIGSTOP}
    assert set(signals.CAUGHT) == set(signal.valid_signals()) - never


def test_what_we_caused_is_taken_back_and_what_others_sent_is_not() -> None:
    """Of a signal that is pending, whose first sender the kernel tells."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        signals.take_own(signal.SIGHUP)
        assert signal.SIGHUP not in signal.sigpending()
        subprocess.run(["kill", "-HUP", str(os.getpid())], check=True)
        os.kill(os.getpid(), signal.SIGHUP)
        signals.take_own(signal.SIGHUP)
        assert signal.sigtimedwait({signal.SIGHUP}, 0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def outcome(program: str) -> str:
    """What a program prints whose signals are blocked as pyinit has them."""
    start = "import _signal, posix, time; from pyinit import signals; signals.block(); REAL = _signal.ITIMER_REAL\n"
    done = subprocess.run([sys.executable, "-c", start + program], capture_output=True, text=True, timeout=30)
    assert not done.stderr
    return done.stdout.rstrip("\n")


PEND_ALARM = "_signal.setitimer(REAL, 0.001)\nwhile not _signal.sigpending(): pass\n"
"""As when the time of a wait has passed just after it took another signal."""


def test_a_wait_ends_in_its_time_and_leaves_no_timer() -> None:
    """With nothing; neither before nor long after."""
    program = """
start = time.monotonic()
print(signals.wait(0.05), 0.05 <= time.monotonic() - start < 1, _signal.getitimer(REAL), _signal.sigpending())
"""
    assert outcome(program) == "None True (0.0, 0.0) set()"


@pytest.mark.parametrize("seconds", ["None", "10", "0"])
def test_a_wait_takes_what_was_sent(seconds: str) -> None:
    """An alarm that a process has sent is one of them; no timer goes on."""
    program = f"""
for number in (_signal.SIGUSR1, _signal.SIGALRM):
    posix.kill(posix.getpid(), number)
    print(signals.wait({seconds}).si_signo, _signal.getitimer(REAL)[0])
"""
    assert outcome(program) == f"{int(signal.SIGUSR1)} 0.0\n{int(signal.SIGALRM)} 0.0"


@pytest.mark.parametrize(
    "seconds",
    ["None", "10", pytest.param("0", marks=pytest.mark.xfail(strict=True, reason="it is handed out as a signal"))],
)
def test_the_timer_of_an_earlier_wait_is_no_signal(seconds: str) -> None:
    """At most the next wait ends early."""
    assert outcome(f"signals.wait(0.001)\n{PEND_ALARM}print(signals.wait({seconds}))") == "None"


@pytest.mark.parametrize(
    "first",
    [
        "signals.wait(0.1)",
        pytest.param(
            "signals.wait(0)", marks=pytest.mark.xfail(strict=True, reason="whether there is one is asked too late")
        ),
    ],
)
def test_an_alarm_that_was_set_before_us_is_a_signal(first: str) -> None:
    """Whatever the first wait was."""
    program = f"""
_signal.setitimer(REAL, 0.3)
{first}
posix.fork() or (time.sleep(1), posix.kill(posix.getppid(), _signal.SIGUSR1), posix._exit(0))
while (info := signals.wait(None)) is None or info.si_signo == _signal.SIGCHLD:
    pass
print(info.si_signo)
"""
    assert outcome(program) == str(int(signal.SIGALRM))
