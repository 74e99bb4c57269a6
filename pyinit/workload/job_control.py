"""Job control: to a shell, pyinit and the workload are one job with one terminal.

The shell knows our process group only, and the workload has one of its own. So a stop of the workload is passed on to
our group, a continuation of ours to the workload, and the foreground of the terminal goes with them. See setpgid(2),
tcsetpgrp(3), credentials(7).
"""

import posix
import time

from ..kernel import reserves, signals
from ..reporting.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..account import Account
    from ..reporting.log import Log

_STOPS_WITHIN = 1.0
"""Seconds. A workload that stops this soon after our stop signal stopped because of it."""

_WANTS = (signals.TTIN, signals.TTOU)
"""What stops a background process that uses the terminal."""


def stopped(number: int, account: "Account", suspends: bool, log: "Log") -> None:
    """The workload has been stopped by signal `number`.

    Stops us as well where a shell can see it, and returns when a SIGCONT has come, which is still pending then. Where
    nothing would continue us, Ctrl-Z does not stop the workload: it is continued. `suspends`: whether we stop in any
    case after forwarding a stop, as dumb-init does.
    """
    account.has_been_stopped = True
    sent, account.stop_sent = account.stop_sent, (0, 0.0)
    was_asked = sent[0] == number and time.monotonic() < sent[1] + _STOPS_WITHIN
    if was_asked and suspends:  # and so we were, and have been continued
        return
    tty = _open()
    if tty is None:
        if was_asked and posix.getpid() != 1:
            account.is_suspended = signals.stop(signals.STOP, is_for_group=False)
        return
    try:
        if number in _WANTS and not was_asked and _is_ours(tty) and _give(tty, account.pid):
            continue_workload(account.pid, log)
        elif not (can_be_continued() and _stop_along(tty, number, account, was_asked, log)) and not was_asked:
            if number == signals.TSTP:
                continue_workload(account.pid, log)
            elif number in _WANTS:
                name = signals.name_of(number)
                message = f"pid {account.pid} was stopped by {name}: it uses a terminal that it cannot have"
                log.warning("stopped", message, pid=account.pid)
    finally:
        posix.close(tty)


def _stop_along(tty: int, number: int, account: "Account", was_asked: bool, log: "Log") -> bool:
    """Stop as the workload has; False if we should not, or cannot be stopped."""
    had_terminal = _foreground(tty) == account.pid
    if number == signals.STOP and not (had_terminal or was_asked):  # a debugger, say: not the shell's business
        return False
    account.shares_terminal = not was_asked and (had_terminal or number in _WANTS)
    if had_terminal:
        _give(tty, posix.getpgrp())
    log.info("stopped", f"stopping along with pid {account.pid}", pid=account.pid)
    # All of the shell's job, whose other members Ctrl-Z has not reached; only us if somebody asked us alone.
    kind = number if number in signals.TERMINAL_STOPS else signals.TSTP
    account.is_suspended = signals.stop(kind, is_for_group=not was_asked)
    if had_terminal and not account.is_suspended:
        _give(tty, account.pid)  # not reached: the kernel has to refuse to stop us
    return account.is_suspended


def resume(account: "Account") -> None:
    """We have been continued, and the workload is about to be: give it the terminal if our group has that."""
    account.is_suspended = False
    tty = _open() if account.shares_terminal else None
    if tty is not None:
        if _is_ours(tty):
            _give(tty, account.pid)
        posix.close(tty)


def return_terminal(workload: int, leads_session: bool, is_over: bool, log: "Log") -> None:
    """Take back the terminal that the workload was given, when it has ended and (`is_over`) when we are to exit."""
    try:
        if leads_session:
            from . import session

            session.take_terminal()
        else:
            take_back(workload, is_over)
    except Exception as error:  # not reached: for what nobody has foreseen
        log.error("failed", f"cannot take the terminal back: {reason(error)}")


def continue_workload(workload: int, log: "Log") -> None:
    """Send SIGCONT to the workload's process group."""
    try:
        posix.kill(-workload, signals.CONT)
    except OSError as error:  # not reached: it ended, or is another user's
        log.warn_once("undeliverable", f"cannot continue pid {workload}: {error.strerror}", signal="SIGCONT")


def can_be_continued() -> bool:
    """Whether we may stop: a shell sees it, and can continue us.

    It cannot if we are PID 1, nor in an orphaned process group: no member has a parent in another group of the session
    (setpgid(2)).
    """
    if posix.getpid() == 1:
        return False
    from ..kernel import procfs

    processes = {found.pid: found for found in procfs.processes()}
    ours = processes.get(posix.getpid())
    if ours is None:  # no /proc, or that of other processes
        return True  # not reached: no /proc, or that of other processes
    parents = [processes.get(member.parent) for member in processes.values() if member.group == ours.group]
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
    """Take the terminal back if the process group that has it, the workload's or another, has no member left.

    `is_over`: we are about to exit, and return it as it was: take it from the workload's group in any case.
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
        return reserves.open_file("/dev/tty", posix.O_RDWR | posix.O_NONBLOCK | posix.O_NOCTTY)
    except OSError:
        return None


def _foreground(tty: int) -> int:
    """The process group in the terminal's foreground (0: one outside the PID namespace); -1 if it has hung up."""
    try:
        return posix.tcgetpgrp(tty)
    except OSError:  # not reached: it hung up
        return -1


def _is_ours(tty: int) -> bool:
    """Whether our process group has the terminal.

    Where both groups are outside our PID namespace both numbers are 0. Then a read of no bytes decides: it fails in the
    background (EIO, since SIGTTIN is blocked).
    """
    group = posix.getpgrp()
    if _foreground(tty) != group or group:
        return _foreground(tty) == group
    try:
        posix.read(tty, 0)
    except BlockingIOError:  # not reached: another process is reading at this moment
        return True
    except OSError:
        return False
    return True


def _give(tty: int, group: int) -> bool:
    """Give the terminal to a process group; False if that fails. (SIGTTOU, which would stop us, is blocked.)"""
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
    except OSError:  # not reached: EPERM: it is another user's
        pass
    return True
