"""The calls of the C library that Python has no function for: prctl(2) and ptrace(2).

``_ctypes`` alone loads in 0.8 ms, with ``ctypes`` around it in 5. Few runs need this module: a pyinit that is not PID 1
(which gets every orphan without asking), ``--parent-death-signal``, ``--user`` with ambient capabilities, and a child
that asked to be traced.
"""

import _ctypes
import posix

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_PTRACE_DETACH = 17

_library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]


class _ULong(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "L"


class _Int(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "i"


class _Function(_ctypes.CFuncPtr):
    """A function of the C library that takes a few integers and returns one."""

    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Int


def become_subreaper() -> None:
    """Have orphaned descendants re-parented to us.

    Raises:
        OSError: the kernel refuses.
    """
    _call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def set_parent_death_signal(number: int) -> None:
    """Get signal `number` when our parent dies.

    Raises:
        OSError: the kernel refuses.
    """
    parent = posix.getppid()
    _call("prctl", _PR_SET_PDEATHSIG, number, 0, 0, 0)
    if posix.getppid() != parent:  # it died before we had asked
        posix.kill(posix.getpid(), number)  # not reached: the parent died since the line above but one


def clear_ambient_capabilities() -> None:
    """Give up the capabilities that an unprivileged program would keep through exec (capabilities(7)).

    Raises:
        OSError: the kernel refuses.
    """
    _call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def stop_tracing(pid: int, number: int) -> None:
    """Detach from a stopped tracee, which continues and gets signal `number`; 0 for none.

    Raises:
        OSError: the kernel refuses.
    """
    _call("ptrace", _PTRACE_DETACH, pid, 0, number)


def _call(name: str, option: int, *arguments: int) -> None:
    function = _Function(_ctypes.dlsym(_library, name))
    if function(option, *[_ULong(argument) for argument in arguments]) != 0:
        # not reached: the kernel refuses none of these calls
        raise OSError(_ctypes.get_errno(), posix.strerror(_ctypes.get_errno()))
