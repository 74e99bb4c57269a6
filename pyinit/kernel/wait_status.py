"""Wait statuses: how a process ended (wait(2))."""

import posix

from . import signals


def shell_status(wait_status: int) -> int:
    """The exit status that a shell reports: the exit code, or 128+N for signal N."""
    code = posix.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


def signal_of(wait_status: int) -> "str | None":
    """The name of the signal that killed the process; None if it exited."""
    return signals.name_of(posix.WTERMSIG(wait_status)) if posix.WIFSIGNALED(wait_status) else None


def describe(wait_status: int) -> str:
    """A predicate for a sentence whose subject is the process.

    ``exited with 3``, ``was killed by SIGTERM``, ``was killed by SIGABRT (core dumped)``.
    """
    killed_by = signal_of(wait_status)
    if not killed_by:
        return f"exited with {shell_status(wait_status)}"
    return f"was killed by {killed_by}" + (" (core dumped)" if posix.WCOREDUMP(wait_status) else "")
