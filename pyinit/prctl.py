"""The two prctl(2) calls that Python has no function for.

They need ``ctypes``, an extension module that takes milliseconds to load, so this module is imported only by a
pyinit that is not PID 1 or was given ``--parent-death-signal``. PID 1 needs no subreaper: it gets every orphan.
"""

import ctypes
import posix

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Have orphans among our descendants re-parented to us.

    Raises:
        OSError: the kernel refuses.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_parent_death_signal(number: int) -> None:
    """Get signal `number` when our parent dies.

    Raises:
        OSError: the kernel refuses.
    """
    parent = posix.getppid()
    _prctl(_PR_SET_PDEATHSIG, number)
    if posix.getppid() != parent:  # it died before we had asked
        posix.kill(posix.getpid(), number)


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, posix.strerror(code))
