"""The waitpid loop; how a process ended."""

import posix
import time

from .kernel import signals
from .reporting.log import DEBUG, Log

_ENDED_OR_STOPPED = posix.WEXITED | posix.WSTOPPED | posix.WNOHANG

BATCH = 1000
"""How many are reaped before pending signals get their turn: a storm of either must not hold up the other."""


class Reaper:
    """Waits for every child there is: the workload, and the orphans that the kernel gives us."""

    __slots__ = (
        "_log",
        "_tells",
        "_warn",
        "_workload",
        "accounts",
        "ended",
        "is_childless",
        "orphans",
        "stopped_by",
        "usage",
        "wait_status",
    )

    def __init__(self, workload: int, log: Log, warn: bool, accounts: bool) -> None:
        self._workload = workload
        self._log = log
        self._warn = warn
        """Whether each orphan is worth a warning."""
        self._tells = warn or log.level >= DEBUG
        self.accounts = accounts
        """Whether to find out what the workload took if it exits. (If it is killed, that is found out anyway.)"""
        self.wait_status: "int | None" = None
        """The workload's, once it has ended."""
        self.ended = 0.0
        """When that was seen, on the monotonic clock."""
        self.usage: "tuple[float, int] | None" = None
        """What the workload and the children that it waited for took: CPU seconds, and the most memory that one
        of them had resident, in bytes. None if it was not found out."""
        self.orphans = 0
        """How many orphans have been reaped."""
        self.stopped_by = 0
        """The signal that has stopped the workload, until somebody sets this to 0."""
        self.is_childless = False
        """Whether nobody was left to wait for when we last looked."""

    def reap(self) -> bool:
        """Reap the children that have ended, `BATCH` at most; True if there may be more.

        A SIGCHLD stands for any number of children, since a pending one swallows the next (signal(7)): so wait
        until there is nobody left to wait for. Look first, and then take the one that was looked at: only a zombie
        still has its name, and only a costlier call tells what the workload took.

        Raises:
            ChildProcessError: there is no child at all: the workload has gone, and its status went elsewhere.
        """
        self.is_childless = False
        look, take = posix.waitid, posix.waitpid  # a name is found faster here, and many orphans may have come at once
        try:
            for _ in range(BATCH):
                found = look(posix.P_ALL, 0, _ENDED_OR_STOPPED | posix.WNOWAIT)
                if found is None:
                    return False
                pid = found.si_pid
                if found.si_code > posix.CLD_DUMPED:
                    self._pass_over(pid, found.si_code, found.si_status)
                elif pid == self._workload and self.wait_status is None:
                    self._take_workload(self.accounts or found.si_code != posix.CLD_EXITED)
                else:
                    name = name_of(pid) if self._warn else None
                    _, status = take(pid, posix.WNOHANG)
                    self.orphans += 1
                    if self._tells:
                        self._tell(pid, name, status)
        except ChildProcessError:
            if self.wait_status is None:
                raise
            self.is_childless = True
            return False
        return True

    def _take_workload(self, account: bool) -> None:
        self.ended = time.monotonic()
        if account and _can_import_resource():
            _, self.wait_status, usage = posix.wait4(self._workload, posix.WNOHANG)
            self.usage = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
            return
        _, self.wait_status = posix.waitpid(self._workload, posix.WNOHANG)

    def _pass_over(self, pid: int, code: int, number: int) -> None:
        """A child has only stopped. Take the report, or it would come again and again."""
        try:
            taken = posix.waitid(posix.P_PID, pid, _ENDED_OR_STOPPED & ~posix.WEXITED)
        except ChildProcessError:  # killed meanwhile: it is a zombie, and the next look finds it
            return
        if taken is None:  # continued meanwhile
            return
        if pid == self._workload and code == posix.CLD_STOPPED:
            self.stopped_by = number
        elif code == posix.CLD_TRAPPED:
            self._stop_tracing(pid, number)

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
            from .kernel import libc

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


def name_of(pid: int) -> "str | None":
    """A process's name; None if that cannot be known, for whatever reason: it is to be reaped all the same."""
    try:
        from .kernel import procfs

        return procfs.name_of(pid)
    except Exception:
        return None


def _can_import_resource() -> bool:
    """Whether wait4 will do: it imports this extension module, and fails when the child is taken already."""
    try:
        import resource  # noqa: F401
    except Exception:  # an interpreter without it, no descriptor, no memory
        return False
    return True
