"""Job control: a shell sees one job, us and the workload, and both have one terminal.

The workload's process group is another than ours, which is all that the shell knows. So a stop of the workload is
passed on to our group, a continuation of ours to the workload, and with them the terminal's foreground. Loaded when
there is something to do about it. See setpgid(2), tcsetpgrp(3), credentials(7).
"""

import posix

from . import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .log import Log

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
        """The workload has been stopped by signal `number`; `was_asked` if it was us who sent it.

        Stops us as well, and returns when a SIGCONT has come, which is still pending then. Nobody's job, as PID 1 or
        without a shell above (an orphaned process group), cannot be stopped by Ctrl-Z: such a workload goes on.
        """
        tty = _open()
        holder = _foreground(tty)
        if number in _WANTS and not was_asked and holder == posix.getpgrp() and _give(tty, self._workload):
            self._go_on()
        else:
            if posix.getpid() != 1 and (tty is not None or was_asked):
                self._stop_along(number, was_asked, tty, holder)
            if number == signals.TSTP and tty is not None and not self.is_stopped and not was_asked:
                self._go_on()
        if tty is not None:
            posix.close(tty)

    def _stop_along(self, number: int, was_asked: bool, tty: "int | None", holder: int) -> None:
        had_terminal = holder == self._workload
        self._shares_terminal = had_terminal or number in _WANTS
        if had_terminal:
            _give(tty, posix.getpgrp())
        self._log.info("stopped", f"pid {self._workload} has stopped, and so do we", pid=self._workload)
        # All of the shell's job, whose other members Ctrl-Z has not reached; or only we, as who asked for it meant.
        kind = number if number in signals.TERMINAL_STOPS else signals.TSTP
        self.is_stopped = signals.stop(kind, is_for_group=not was_asked)
        if not self.is_stopped and was_asked:
            posix.kill(posix.getpid(), signals.STOP)
            self.is_stopped = True
        if had_terminal and not self.is_stopped:
            _give(tty, self._workload)

    def resume(self) -> None:
        """We have been continued: let the workload go on, with the terminal if it has come to us."""
        self.is_stopped = False
        tty = _open() if self._shares_terminal else None
        if tty is not None:
            if _foreground(tty) == posix.getpgrp():
                _give(tty, self._workload)
            posix.close(tty)
        self._go_on()

    def _go_on(self) -> None:
        try:
            posix.kill(-self._workload, signals.CONT)
        except OSError as error:
            self._log.warning("undeliverable", f"cannot forward SIGCONT: {error.strerror}", signal="SIGCONT")


def take_back(workload: int, is_over: bool) -> None:
    """Take the terminal from the workload's process group, or whichever has it, if nobody is left in it.

    `is_over`: from the workload's group even if somebody is: we go, and it shall be where it was when we came.
    """
    tty = _open()
    if tty is None:
        return
    holder = _foreground(tty)
    if holder > 1 and ((is_over and holder == workload) or not _exists(holder)):
        _give(tty, posix.getpgrp())
    posix.close(tty)


def _open() -> "int | None":
    """Our controlling terminal; None without one."""
    try:
        return posix.open("/dev/tty", posix.O_RDWR | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC)
    except OSError:
        return None


def _foreground(tty: "int | None") -> int:
    """The process group that has the terminal (0: one outside the PID namespace); -1 if there is none."""
    try:
        return -1 if tty is None else posix.tcgetpgrp(tty)
    except OSError:  # it has hung up
        return -1


def _give(tty: "int | None", group: int) -> bool:
    """Give the terminal to a process group; False if that cannot be. (SIGTTOU, which would stop us, is blocked.)"""
    if tty is None:
        return False
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
