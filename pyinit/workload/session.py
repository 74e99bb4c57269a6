"""A session of the workload's own, and whose controlling terminal it gets; loaded only for ``--session``.

See setsid(2), ioctl_tty(2) and credentials(7).
"""

import fcntl
import posix
import termios

from ..kernel import signals


def can_be_led() -> bool:
    """Whether the workload should lead a session: not as the job of a shell.

    The terminal stays with the shell's session, and out of it the workload would have no job control: Ctrl-Z does
    nothing in an orphaned process group, and nobody stops who reads the terminal in the background.
    """
    if posix.getpid() == 1 or posix.getsid(0) == posix.getpid():
        return True
    try:
        posix.close(posix.open("/dev/tty", posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC))
    except OSError:  # there is none
        return True
    return False


def release_terminal() -> bool:
    """Give up the controlling terminal, standard input, if it is our session's; True if another may have it now.

    The kernel tells the terminal's foreground group of the loss (SIGHUP, SIGCONT). That is our own doing, and
    nobody's news: both are taken back.
    """
    if posix.getsid(0) != posix.getpid():  # its leader would lose it, too
        return False
    try:
        fcntl.ioctl(0, termios.TIOCNOTTY)
    except OSError:  # a sandbox
        return False
    signals.take_own(signals.HUP)
    signals.take_own(signals.CONT)
    return True


def lead() -> None:
    """Lead a session, with standard input as its controlling terminal if it is one that no session has."""
    posix.setsid()
    _take_terminal()


def regain_terminal() -> None:
    """Take standard input for our own controlling terminal again, if the session that had it has lost its leader."""
    _take_terminal()


def _take_terminal() -> None:
    try:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    except OSError:  # ENOTTY, EBADF; EPERM: it is another session's
        pass
