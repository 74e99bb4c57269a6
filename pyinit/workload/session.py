"""A session of the workload's own, and its controlling terminal, for ``--session``.

See setsid(2), ioctl_tty(2) and credentials(7). The two modules for ioctl(2) are not built into every interpreter: they
are imported only for a terminal, and before the program runs.
"""

import posix

from ..kernel import signals


def can_be_led() -> bool:
    """Whether the workload should lead a session: it should not as the job of a shell.

    The terminal belongs to the shell's session, and outside of that the workload would have no job control: Ctrl-Z does
    nothing in an orphaned process group, and a background process that reads the terminal is not stopped.
    """
    if posix.getpid() == 1 or posix.getsid(0) == posix.getpid():
        return True
    try:
        posix.close(posix.open("/dev/tty", posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC))
    except OSError:  # there is none
        return True
    return False


def release_terminal() -> bool:
    """Give up the controlling terminal, standard input, if we lead its session; True if another may have it now.

    The kernel sends the terminal's foreground group SIGHUP and SIGCONT for that. It is our own doing, and not to be
    forwarded: both are taken back.
    """
    if posix.getsid(0) != posix.getpid():  # its leader would lose it, too
        return False  # not reached: standard input is a terminal, and we are not its session's leader
    try:
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCNOTTY)
    except (OSError, ImportError):  # not reached: a sandbox; an interpreter without these modules
        return False
    signals.take_own(signals.HUP)
    signals.take_own(signals.CONT)
    return True


def lead() -> None:
    """Lead a session, with standard input as its controlling terminal if that is a terminal without a session."""
    posix.setsid()
    take_terminal()


def take_terminal() -> None:
    """Make standard input our controlling terminal: for the first time, or after the session that had it has ended."""
    if not posix.isatty(0):
        return
    try:
        import fcntl
        import termios

        if posix.get_inheritable(0):  # otherwise it was closed, and the log has its number
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    except (OSError, ImportError):  # not reached: it is another session's; an interpreter without these modules
        pass
