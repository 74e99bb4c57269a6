"""Names and numbers of signals."""

import signal
import subprocess
import sys
import time
from textwrap import dedent

import psutil
import pytest

from pyinit.kernel import signals
from testing.waiting import eventually


@pytest.mark.parametrize("number", sorted(signals.ALL))
def test_a_name_is_converted_back_to_its_number(number: int) -> None:
    """Every signal has a name, which is accepted in upper and lower case, with and without SIG."""
    name = signals.name_of(number)
    assert name.startswith("SIG")
    assert signals.number_of(name) == number
    assert signals.number_of(name.removeprefix("SIG").lower()) == number
    assert signals.number_of(str(number)) == number


def test_the_standard_names_are_those_of_signal_7() -> None:
    """Aliases (SIGCLD, SIGPOLL) are accepted, but never printed. musl does without the first."""
    for number in range(1, 32):
        assert signals.name_of(number) == signal.Signals(number).name
    if hasattr(signal, "SIGCLD"):
        assert signals.number_of("CLD") == signal.SIGCHLD
    assert signals.number_of("POLL") == signal.SIGIO


def test_real_time_signals_are_counted_from_both_ends() -> None:
    """RTMIN+n and RTMAX-n are the same signals."""
    assert signals.number_of("RTMIN+3") == signal.SIGRTMIN + 3
    assert signals.number_of("SIGRTMAX-3") == signal.SIGRTMAX - 3
    assert signals.number_of("RTMAX") == signal.SIGRTMAX
    assert signals.number_of(f"RTMIN+{signal.SIGRTMAX - signal.SIGRTMIN}") == signal.SIGRTMAX
    assert signals.name_of(signal.SIGRTMIN + 3) == "SIGRTMIN+3"
    assert signals.name_of(signal.SIGRTMAX - 3) == "SIGRTMAX-3"


NO_SIGNALS = ["", "0", "32", "33", "65", "-1", "9" * 50, "1.5", " 15", "\udcff", "٣"]
NO_NAMES = ["TERMINATE", "_BLOCK", "BLOCK", "RTMIN+31", "RTMAX+1", "RTMIN-1", "SIG", "SIGSIGTERM"]


@pytest.mark.parametrize("text", NO_SIGNALS + NO_NAMES)
def test_other_text_is_refused(text: str) -> None:
    """32 and 33 belong to the C library, and have no name."""
    with pytest.raises(ValueError, match="there is no signal"):
        signals.number_of(text)


def test_all_signals_but_kill_and_stop_are_caught() -> None:
    """Including those that the kernel raises for a fault."""
    assert set(signals.CAUGHT) == set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}


def in_one_thread(program: str, *words: str) -> None:
    """Run a program that sends itself signals, in an interpreter that has no other thread that would get them."""
    subprocess.run([sys.executable, "-c", f"import os, signal, sys\n{dedent(program)}", *words], check=True)


def test_a_pending_signal_is_discarded_only_if_we_caused_it() -> None:
    """The kernel reports the first sender of a pending signal."""
    in_one_thread(
        """
        import subprocess
        from pyinit.kernel import signals
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        os.kill(os.getpid(), signal.SIGHUP)
        signals.take_own(signal.SIGHUP)
        assert signal.SIGHUP not in signal.sigpending()
        subprocess.run(["kill", "-HUP", str(os.getpid())], check=True)
        os.kill(os.getpid(), signal.SIGHUP)
        signals.take_own(signal.SIGHUP)
        assert signal.sigtimedwait({signal.SIGHUP}, 0)
        """
    )


MADE_UP = """if True:
    import _signal, posix, sys
    from pyinit.kernel import signals
    signals.block()
    for number in (_signal.SIGUSR1, _signal.SIGRTMIN):
        posix.kill(posix.getpid(), number)
        assert signals.wait(10).si_signo == number
        print("waiting", flush=True)
        print(signals.wait(0.2), flush=True)
        assert signals.wait(60).si_signo == _signal.SIGCONT
    print(signals.wait(0))
"""


@pytest.mark.skipif(int(signal.SIGRTMIN) != 34, reason="musl goes on waiting, and returns the signal that continued it")
def test_a_stop_longer_than_a_wait_does_not_yield_a_signal() -> None:
    """In this case sigtimedwait returns uninitialized memory, which may look like the last signal."""
    with subprocess.Popen([sys.executable, "-c", MADE_UP], stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout
        for _ in range(2):
            assert waiting.stdout.readline() == "waiting\n"
            process = psutil.Process(waiting.pid)
            eventually(process.status, holds=lambda seen: seen == psutil.STATUS_SLEEPING)
            process.suspend()
            eventually(process.status, holds=lambda seen: seen == psutil.STATUS_STOPPED)
            time.sleep(0.4)
            process.resume()
            assert waiting.stdout.readline() == "None\n"
        assert waiting.stdout.readline() == "None\n"


@pytest.mark.parametrize("seconds", ["None", "10", "0"])
def test_a_wait_returns_a_pending_signal(seconds: str) -> None:
    """With any timeout, and without one."""
    in_one_thread(
        """
        from pyinit.kernel import signals
        signals.block()
        for number in (signal.SIGUSR1, signal.SIGALRM, signal.SIGUSR1):
            os.kill(os.getpid(), number)
            info = signals.wait(eval(sys.argv[1]))
            assert info and (info.si_signo, info.si_pid) == (number, os.getpid())
        """,
        seconds,
    )
