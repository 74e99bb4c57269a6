"""Job control: a shell sees one job, us and the workload, and both have one terminal.

The workload's process group is another than ours, which is all that the shell knows. So a stop of the workload is
passed on to our group, a continuation of ours to the workload, and with them the terminal's foreground. Loaded when
there is something to do about it. See setpgid(2), tcsetpgrp(3), credentials(7).
"""

import posix

from ..kernel import procfs, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..reporting.log import Log

_WANTS = (signals.TTIN, signals.TTOU)
"""What stops those who use a terminal that they have not got."""


class Job:
    """The workload, as a job that stops and goes on."""

    __slots__ = ("_log", "_shares_terminal", "_workload", "is_stopped")

    def __init__(self, workload: int, log: "Log") -> None:
        self._workload = workload
        self._log = log
        self._shares_terminal = False
        """Whether the workload gets the terminal when we do."""
        self.is_stopped = False
        """Whether we have stopped with the workload, and have not yet let it go on."""

    def stopped(self, number: int, was_asked: bool) -> None:
        """The workload has been stopped by signal `number`; `was_asked` if somebody had us send it.

        Stops us as well where a shell can see it, and returns when a SIGCONT has come, which is still pending then.
        Where nobody would continue it, Ctrl-Z does nothing to the workload: it goes on.
        """
        tty = _open()
        if tty is None:
            if was_asked and posix.getpid() != 1:
                self.is_stopped = signals.stop(signals.STOP, is_for_group=False)
            return
        try:
            if number in _WANTS and not was_asked and _is_ours(tty) and _give(tty, self._workload):
                self._go_on()
            elif not (can_be_continued() and self._stop_along(tty, number, was_asked)) and not was_asked:
                if number == signals.TSTP:
                    self._go_on()
                elif number in _WANTS:
                    name = signals.name_of(number)
                    message = f"{name} has stopped pid {self._workload}, which wants the terminal, and cannot have it"
                    self._log.warning("stopped", message, pid=self._workload)
        finally:
            posix.close(tty)

    def _stop_along(self, tty: int, number: int, was_asked: bool) -> bool:
        """Stop as the workload has; False if we are not to, or cannot be stopped."""
        had_terminal = _foreground(tty) == self._workload
        if number == signals.STOP and not (had_terminal or was_asked):  # a debugger, say, and no matter of the shell's
            return False
        self._shares_terminal = not was_asked and (had_terminal or number in _WANTS)
        if had_terminal:
            _give(tty, posix.getpgrp())
        self._log.info("stopped", f"pid {self._workload} has stopped, and so do we", pid=self._workload)
        # All of the shell's job, whose other members Ctrl-Z has not reached; or only us, as who asked for it meant.
        kind = number if number in signals.TERMINAL_STOPS else signals.TSTP
        self.is_stopped = signals.stop(kind, is_for_group=not was_asked)
        if had_terminal and not self.is_stopped:
            _give(tty, self._workload)
        return self.is_stopped

    def resume(self) -> None:
        """We have been continued: let the workload go on, with the terminal if it has come to us."""
        self.is_stopped = False
        tty = _open() if self._shares_terminal else None
        if tty is not None:
            if _is_ours(tty):
                _give(tty, self._workload)
            posix.close(tty)
        self._go_on()

    def _go_on(self) -> None:
        try:
            posix.kill(-self._workload, signals.CONT)
        except OSError as error:
            self._log.warning("undeliverable", f"cannot forward SIGCONT: {error.strerror}", signal="SIGCONT")


def can_be_continued() -> bool:
    """Whether we may stop: a shell sees it, and can continue us.

    Not as PID 1, and not in an orphaned process group, none of whose members has a parent in another group of the
    session (setpgid(2)).
    """
    if posix.getpid() == 1:
        return False
    everybody = {found.pid: found for found in procfs.processes()}
    ours = everybody.get(posix.getpid())
    if ours is None:  # no /proc, or that of other processes
        return True
    parents = [everybody.get(member.parent) for member in everybody.values() if member.group == ours.group]
    return any(up.session == ours.session and up.group != ours.group for up in parents if up)


def owns_foreground() -> bool:
    """Whether our process group has our controlling terminal."""
    tty = _open()
    if tty is None:
        return False
    try:
        return _is_ours(tty)
    finally:
        posix.close(tty)


def take_back(workload: int, is_over: bool) -> None:
    """Take the terminal from the workload's process group, or whichever has it, if nobody is left in it.

    `is_over`: from the workload's group even if somebody is: we go, and it shall be where it was when we came.
    """
    tty = _open()
    if tty is None:
        return
    try:
        holder = _foreground(tty)
        if holder > 1 and ((is_over and holder == workload) or not _exists(holder)):
            _give(tty, posix.getpgrp())
    finally:
        posix.close(tty)


def _open() -> "int | None":
    """Our controlling terminal; None without one."""
    try:
        return posix.open("/dev/tty", posix.O_RDWR | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC)
    except OSError:
        return None


def _foreground(tty: int) -> int:
    """The process group that has the terminal (0: one outside the PID namespace); -1 if it has hung up."""
    try:
        return posix.tcgetpgrp(tty)
    except OSError:
        return -1


def _is_ours(tty: int) -> bool:
    """Whether our process group has the terminal.

    Where both groups are outside our PID namespace both numbers are 0. A read of no bytes tells then: it fails in
    the background (EIO, since SIGTTIN is blocked).
    """
    group = posix.getpgrp()
    if _foreground(tty) != group or group:
        return _foreground(tty) == group
    try:
        posix.read(tty, 0)
    except BlockingIOError:  # somebody else is reading
        return True
    except OSError:
        return False
    return True


def _give(tty: int, group: int) -> bool:
    """Give the terminal to a process group; False if that cannot be. (SIGTTOU, which would stop us, is blocked.)"""
    try:
        posix.tcsetpgrp(tty, group)
    except OSError:  # hung up; a group of another session, or one outside the PID namespace
        return False
    return True


def _exists(group: int) -> bool:
    try:
        posix.kill(-group, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
