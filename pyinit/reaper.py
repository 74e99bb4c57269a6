"""The waitpid loop."""

import posix

from .account import STAYING
from .kernel import signals, wait_status
from .reporting.log import DEBUG, Log, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .account import Account

_OPTIONS = posix.WNOHANG | posix.WUNTRACED

_ENDED = (posix.CLD_EXITED, posix.CLD_KILLED, posix.CLD_DUMPED)
"""The codes of a child that has ended. The stop of one that we trace is reported as well, unasked (ptrace(2))."""

BATCH = 1000
"""How many children are reaped before pending signals get their turn: neither may hold up the other."""


class Reaper:
    """Waits for every child: the workload, and the orphans that the kernel gives us."""

    __slots__ = (
        "_account",
        "_log",
        "_logs_orphans",
        "_measures_usage",
        "_names_orphans",
        "_status",
        "is_childless",
        "stopped_by",
    )

    def __init__(self, account: "Account", log: Log, names_orphans: bool) -> None:
        self._account = account
        self._log = log
        self._names_orphans = names_orphans
        """Whether each orphan is worth a warning."""
        self._logs_orphans = names_orphans or log.level >= DEBUG
        self._measures_usage = False
        self._status: "int | None" = None
        """The wait status of the workload, once it has been reaped: without memory to note it now it is noted later."""
        self.stopped_by = 0
        """The signal that has stopped the workload, until the loop has dealt with it and sets this to 0."""
        self.is_childless = False
        """Whether there was no child at all when we last looked."""

    def measure_usage(self) -> None:
        """From now on, find out what the workload used.

        That takes an extension module, which loads in 0.4 ms. wait4 would import it after it has taken the status, and
        lose that if it cannot.
        """
        if self._measures_usage:
            return
        try:
            import resource  # noqa: F401
        except Exception:  # an interpreter without it, no descriptor, no memory
            return
        self._measures_usage = True

    def reap(self) -> bool:
        """Reap the children that have ended, `BATCH` at most; True if there may be more.

        One SIGCHLD stands for any number of children, since a pending one absorbs the next (signal(7)): so wait until
        none is left.
        """
        self.is_childless = False
        account = self._account
        needs_names = self._names_orphans or account.stage == STAYING
        try:
            for _ in range(BATCH):
                if account.ending is None and self._take_workload():
                    continue
                child, name = self._peek() if needs_names else (-1, None)
                pid, status = posix.waitpid(child, _OPTIONS) if child else (0, 0)
                if pid == 0:
                    return False
                if posix.WIFSTOPPED(status):
                    self._pass_over(pid, posix.WSTOPSIG(status))
                elif pid == account.pid and account.ending is None:  # since we looked: what it used is lost
                    self._status = status
                else:
                    account.orphans += 1
                    if account.stage == STAYING:
                        account.last_ended = pid, name, status
                    elif account.remaining:
                        account.straggler_ended(pid, status)
                    if self._logs_orphans:
                        self._log_orphan(pid, name, status)
        except ChildProcessError:
            self.is_childless = True
            return False
        return True

    def _take_workload(self) -> bool:
        """Reap the workload, if it has ended: by itself, since only wait4, which takes longer, says what it used."""
        pid = self._account.pid
        if self._status is None:
            try:
                found = posix.waitid(posix.P_PID, pid, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
            except ChildProcessError:  # there is none (`pause`), or another has reaped it
                return False
            if found is None or found.si_code not in _ENDED:
                return False
            if found.si_code != posix.CLD_EXITED:  # worth the module, however early that is
                self.measure_usage()
            if self._measures_usage:
                _, self._status, usage = posix.wait4(pid, posix.WNOHANG)
                self._account.usage = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
            else:
                _, self._status = posix.waitpid(pid, posix.WNOHANG)
        self._account.end_workload(self._status)
        return True

    def _peek(self) -> "tuple[int, str | None]":
        """The next child that has ended or stopped, and its name, which it has only before it is reaped; 0 if there is
        none.

        Raises:
            ChildProcessError: there is no child at all.
        """
        from .kernel import procfs

        found = posix.waitid(posix.P_ALL, 0, posix.WEXITED | posix.WSTOPPED | posix.WNOHANG | posix.WNOWAIT)
        return (found.si_pid, procfs.name_of(found.si_pid)) if found else (0, None)

    def _log_orphan(self, pid: int, name: "str | None", status: int) -> None:
        which = f"pid {pid} ({name})" if name else f"pid {pid}"
        message = f"reaped {which}, which {wait_status.describe(status)}"
        if self._names_orphans:
            self._log.warning("reaped", message, pid=pid, name=name)
        else:
            self._log.debug("reaped", message, pid=pid)

    def _pass_over(self, pid: int, number: int) -> None:
        """A child has only stopped: the workload, or a child that asked to be traced by its parent
        (``PTRACE_TRACEME``). We are not the tracer that it expected: let it continue, or it would stay stopped forever.
        """
        from .kernel import procfs

        tracer = procfs.field(procfs.record(f"/proc/{pid}/status") or b"", b"TracerPid")
        if tracer == str(posix.getpid()).encode():
            try:
                from .kernel import libc

                libc.stop_tracing(pid, 0 if number == signals.TRAP else number)
            except Exception as error:  # not reached: no _ctypes, or the tracee was killed meanwhile
                self._log.warn_once(
                    "ptrace", f"pid {pid} stopped to be traced, and cannot be let go: {reason(error)}", pid=pid
                )
        elif pid == self._account.pid:
            self.stopped_by = number
