"""How a process ended, from a status that the kernel reported."""

import os
import signal

from pyinit.kernel import wait_status


def status_of(script: str) -> int:
    """The wait status of a shell that runs this."""
    return os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ), 0)[1]


def test_an_exit_code_is_reported_as_it_is() -> None:
    """And no signal."""
    status = status_of("exit 3")
    assert wait_status.shell_status(status) == 3
    assert wait_status.signal_of(status) is None
    assert wait_status.describe(status) == "exited with 3"


def test_a_signal_is_reported_as_a_shell_does() -> None:
    """128 plus its number; by name in words."""
    status = status_of("kill -KILL $$")
    assert wait_status.shell_status(status) == 128 + signal.SIGKILL
    assert wait_status.signal_of(status) == "SIGKILL"
    assert wait_status.describe(status) == "was killed by SIGKILL"


def test_a_core_is_mentioned() -> None:
    """As by a shell: there is something to look at. (The kernel sets the bit WCOREDUMP, 0x80.)"""
    status = signal.SIGSEGV | 0x80
    assert wait_status.shell_status(status) == 128 + signal.SIGSEGV
    assert wait_status.describe(status) == "was killed by SIGSEGV (core dumped)"
