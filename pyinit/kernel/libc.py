"""The calls of the C library that Python has no function for: prctl(2) and ptrace(2).

They need ``ctypes``, an extension module that takes milliseconds to load, so this module is imported only where
one of them is called: by a pyinit that is not PID 1 (which gets every orphan without asking), or was given
``--parent-death-signal``, or has become a tracer, or has ambient capabilities to lose with ``--user``.
"""

import ctypes
import posix

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_PTRACE_DETACH = 17


def become_subreaper() -> None:
    """Have orphans among our descendants re-parented to us.

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
        posix.kill(posix.getpid(), number)


def clear_ambient_capabilities() -> None:
    """Have no capability that goes through exec to a program that is not privileged (capabilities(7)).

    Raises:
        OSError: the kernel refuses.
    """
    _call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def stop_tracing(pid: int, number: int) -> None:
    """Let a stopped tracee go on, and deliver the signal that it stopped for; 0 for none.

    Raises:
        OSError: the kernel refuses.
    """
    _call("ptrace", _PTRACE_DETACH, pid, 0, number)


def _call(name: str, option: int, *arguments: int) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(option, *[ctypes.c_ulong(argument) for argument in arguments]) != 0:
        code = ctypes.get_errno()
        raise OSError(code, posix.strerror(code))
