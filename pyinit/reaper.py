"""The waitpid loop; how a process ended."""

import posix

from . import procfs, signals
from .log import DEBUG, Log

BATCH = 1000
"""How many are reaped before pending signals get their turn: a storm of either must not hold up the other."""


class Reaper:
    """Waits for every child there is: the workload, and the orphans that the kernel gives us."""

    __slots__ = ("_log", "_warn", "_workload", "orphans", "status")

    def __init__(self, workload: int, log: Log, warn: bool) -> None:
        self._workload = workload
        self._log = log
        self._warn = warn
        """Whether each orphan is worth a line."""
        self.status: "int | None" = None
        """The exit status of the workload as a shell tells it, once it has ended."""
        self.orphans = 0
        """How many others have been reaped."""

    def reap(self) -> bool:
        """Reap the children that have ended, `BATCH` at most; True if there may be more.

        A SIGCHLD stands for any number of children, since a pending one swallows the next (signal(7)): so wait
        until there is nobody left to wait for.

        Raises:
            ChildProcessError: the workload has gone and its status went elsewhere.
        """
        for _ in range(BATCH):
            name = self._peek() if self._warn else None
            try:
                pid, status = posix.waitpid(-1, posix.WNOHANG)
            except ChildProcessError:
                if self.status is None:
                    raise
                return False
            if pid == 0:
                return False
            if pid == self._workload:
                self.status = exit_status(status)
            else:
                self.orphans += 1
                if self._warn:
                    self._log.warning(
                        "reaped", f"reaped pid {pid} ({name}), which {describe(status)}", pid=pid, name=name
                    )
                elif self._log.level >= DEBUG:
                    self._log.debug("reaped", f"reaped pid {pid}, which {describe(status)}", pid=pid)
        return True

    def _peek(self) -> "str | None":
        """The name of the next one to be reaped: only a zombie still has it."""
        try:
            next_one = posix.waitid(posix.P_ALL, 0, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
        except OSError:
            return None
        return procfs.name_of(next_one.si_pid) if next_one else None


def exit_status(status: int) -> int:
    """What a shell would tell of a wait status: the exit code, or 128 and the signal."""
    code = posix.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def describe(status: int) -> str:
    """How a process ended, as the end of a sentence that starts with it."""
    code = posix.waitstatus_to_exitcode(status)
    return f"exited with {code}" if code >= 0 else f"was killed by {signals.name_of(-code)}"
