"""How a process ended, from the wait status that the kernel reports."""

import os
import signal

from pyinit.kernel import wait_status


def status_of(script: str) -> int:
    """The wait status of a shell that runs this."""
    return os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ), 0)[1]


def test_an_exit_code_is_reported_as_it_is() -> None:
    """There is no signal."""
    status = status_of("exit 3")
    assert wait_status.shell_status(status) == 3
    assert wait_status.signal_of(status) is None
    assert wait_status.describe(status) == "exited with 3"


def test_a_signal_is_reported_as_a_shell_does() -> None:
    """As a status it is 128 plus its number, as text its name."""
    status = status_of("kill -KILL $$")
    assert wait_status.shell_status(status) == 128 + signal.SIGKILL
    assert wait_status.signal_of(status) == "SIGKILL"
    assert wait_status.describe(status) == "was killed by SIGKILL"


def test_a_core_dump_is_mentioned() -> None:
    """As a shell does. (The kernel sets the bit WCOREDUMP, 0x80.)"""
    status = signal.SIGSEGV | 0x80
    assert wait_status.shell_status(status) == 128 + signal.SIGSEGV
    assert wait_status.describe(status) == "was killed by SIGSEGV (core dumped)"
