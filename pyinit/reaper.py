"""The waitpid loop; how a process ended."""

import posix

from . import procfs, signals
from .log import DEBUG, Log

BATCH = 1000
"""How many are reaped before pending signals get their turn: a storm of either must not hold up the other."""


class Reaper:
    """Waits for every child there is: the workload, and the orphans that the kernel gives us."""

    __slots__ = ("_log", "_warn", "_workload", "status")

    def __init__(self, workload: int, log: Log, warn: bool) -> None:
        self._workload = workload
        self._log = log
        self._warn = warn
        """Whether each orphan is worth a line."""
        self.status: "int | None" = None
        """The exit status of the workload as a shell tells it, once it has ended."""

    def reap(self) -> bool:
        """Reap the children that have ended, `BATCH` at most; True if there may be more.

        A SIGCHLD stands for any number of children, since a pending one swallows the next (signal(7)): so wait
        until there is nobody left to wait for.

        Raises:
            ChildProcessError: there is no child at all: the workload has gone, and its status went elsewhere.
        """
        try:
            for _ in range(BATCH):
                if not self._reap_one():
                    return False
        except ChildProcessError:
            if self.status is None:
                raise
            return False
        return True

    def _reap_one(self) -> bool:
        target, name = -1, None
        if self._warn:
            # Only a zombie still has its name: look first, and then reap the one that was looked at.
            found = posix.waitid(posix.P_ALL, 0, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
            if found is None:
                return False
            target, name = found.si_pid, procfs.name_of(found.si_pid)
        pid, status = posix.waitpid(target, posix.WNOHANG)
        if pid == 0:
            return False
        if posix.WIFSTOPPED(status):
            self._stop_tracing(pid, posix.WSTOPSIG(status))
        elif pid == self._workload:
            self.status = exit_status(status)
        else:
            self._tell(pid, name, status)
        return True

    def _tell(self, pid: int, name: "str | None", status: int) -> None:
        if self._warn:
            who = f"pid {pid} ({name})" if name else f"pid {pid}"
            self._log.warning("reaped", f"reaped {who}, which {describe(status)}", pid=pid, name=name)
        elif self._log.level >= DEBUG:
            self._log.debug("reaped", f"reaped pid {pid}, which {describe(status)}", pid=pid)

    def _stop_tracing(self, pid: int, number: int) -> None:
        """Let a child go on that asked to be traced by its parent (``PTRACE_TRACEME``), which is us.

        It is reported when it stops, though we did not ask for that, and would stay stopped for ever: it is not
        the init that it had in mind.
        """
        try:
            from . import libc

            libc.stop_tracing(pid, 0 if number == signals.TRAP else number)
        except Exception as error:
            self._log.warning("ptrace", f"pid {pid} stopped to be traced, and cannot be let go: {error}", pid=pid)


def exit_status(status: int) -> int:
    """What a shell would tell of a wait status: the exit code, or 128 and the signal."""
    code = posix.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def describe(status: int) -> str:
    """How a process ended, as the end of a sentence that starts with it."""
    code = posix.waitstatus_to_exitcode(status)
    return f"exited with {code}" if code >= 0 else f"was killed by {signals.name_of(-code)}"
