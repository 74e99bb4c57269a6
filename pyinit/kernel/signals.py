"""Signals: their names and numbers, the sets pyinit works with, and the calls that deal in them.

The only module that touches ``_signal``: the public ``signal`` wraps the same calls in enums, which cost
3.7 ms at the start. See signal(7).
"""

import posix
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

ALL = tuple(_signal.valid_signals())
"""Every signal a program may name: 1 to 64 without those that the C library keeps for itself (nptl(7)): 32 and 33,
with musl 34 too. (Tuples, here and below: a set of so many takes 4 kB, and PID 1 has them for good.)"""

FAULTS = (
    _signal.SIGILL,
    _signal.SIGTRAP,
    _signal.SIGABRT,
    _signal.SIGBUS,
    _signal.SIGFPE,
    _signal.SIGSEGV,
    _signal.SIGSYS,
)
"""What the kernel raises for a fault of the process itself: never blocked, never forwarded."""

CAUGHT = tuple(sorted({*ALL} - {*FAULTS, _signal.SIGKILL, _signal.SIGSTOP}))
"""What pyinit waits for and forwards."""

_BLOCKED = tuple({*ALL} - {*FAULTS})

CHLD = int(_signal.SIGCHLD)
CONT = int(_signal.SIGCONT)
INT = int(_signal.SIGINT)
KILL = int(_signal.SIGKILL)
HUP = int(_signal.SIGHUP)
QUIT = int(_signal.SIGQUIT)
STOP = int(_signal.SIGSTOP)
TERM = int(_signal.SIGTERM)
TRAP = int(_signal.SIGTRAP)
TSTP = int(_signal.SIGTSTP)
TTIN = int(_signal.SIGTTIN)
TTOU = int(_signal.SIGTTOU)

STOP_SIGNALS = (TERM, INT, QUIT)
"""What asks a workload to end, and starts the stop timeout."""

TERMINAL_STOPS = (TSTP, TTIN, TTOU)
"""What stops a job of a shell: Ctrl-Z, and the use of a terminal that it has not got (termios(3))."""

STOPS = (STOP, *TERMINAL_STOPS)


def block() -> "set[int]":
    """Block every signal but the faults; return the mask as it was.

    Raises:
        OSError: a sandbox does not let us.
    """
    try:
        return set(_signal.pthread_sigmask(_signal.SIG_BLOCK, _BLOCKED))
    except OSError as error:
        raise OSError(error.errno, f"cannot block signals: {error.strerror}") from None


def blocked() -> "set[int]":
    """The signals that are blocked."""
    return set(_signal.pthread_sigmask(_signal.SIG_BLOCK, ()))


def restore(mask: "set[int]") -> None:
    """Go back to the mask that `block` or `blocked` returned.

    By unblocking: the C library strips its own signals from every mask that is set, and they would be lost.
    """
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {*_BLOCKED} - mask)


def use_defaults() -> bool:
    """Undo what CPython did to the dispositions, and tell whether SIGCHLD came ignored.

    CPython ignores SIGPIPE and SIGXFSZ and catches SIGINT before our first line runs, and keeps no record of
    what the first two were: they go back to the default, which is what a container engine gives PID 1. A
    SIGINT that came ignored is left so, as are all others.

    Raises:
        OSError: a sandbox does not let us.
    """
    try:
        for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
            _signal.signal(number, _signal.SIG_DFL)
        if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        return hear_of_children()
    except OSError as error:
        raise OSError(error.errno, f"cannot set what signals do: {error.strerror}") from None


def hear_of_children() -> bool:
    """See to it that SIGCHLD is not ignored, and tell whether it was: the kernel would reap in our place, and keep
    the statuses to itself (wait(2))."""
    return _signal.signal(CHLD, _signal.SIG_DFL) == _signal.SIG_IGN


def is_ignored(number: int) -> bool:
    """Whether a signal is ignored."""
    return _signal.getsignal(number) == _signal.SIG_IGN


def catch(numbers: "tuple[int, ...]") -> None:
    """Catch these signals where they would have their default effect, to no effect; exec restores it (signal(7))."""
    for number in numbers:
        if _signal.getsignal(number) == _signal.SIG_DFL:
            _signal.signal(number, lambda *_: None)


def ignore_children() -> None:
    """Ignore SIGCHLD: for a workload whose starter had it so."""
    _signal.signal(CHLD, _signal.SIG_IGN)


def stop_timers() -> "list[tuple[int, tuple[float, float]]]":
    """Stop the timers of this process (setitimer(2)); return them for `start_timers`."""
    kinds = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)
    return [(kind, _signal.setitimer(kind, 0)) for kind in kinds]


def start_timers(timers: "list[tuple[int, tuple[float, float]]]") -> None:
    """Start what `stop_timers` has stopped, where it was."""
    for kind, (seconds, interval) in timers:
        if seconds:
            _signal.setitimer(kind, seconds, interval)


def wait(seconds: "float | None") -> "_signal.struct_siginfo | None":
    """Sleep until one of `CAUGHT` is pending and take it; None if that lasts longer than `seconds`.

    The clock is the monotonic one: setting the time of day does not move a deadline. A stop and continue of
    pyinit itself goes unnoticed (PEP 475). One that outlasts `seconds` (Ctrl-Z, a pause of the container) has CPython
    (3.11 to 3.13) return what nobody has filled in: a signal that was never sent, and could end the workload. It is
    told by what the kernel never says. (A timer of our own would be no better: its SIGALRM, while pending, would
    swallow one that somebody sends.)
    """
    if seconds is None:
        return _signal.sigwaitinfo(CAUGHT)
    until = time.monotonic() + seconds
    info = _signal.sigtimedwait(CAUGHT, seconds)
    return None if info and time.monotonic() >= until and not _is_whole(info) else info


def _is_whole(info: "_signal.struct_siginfo") -> bool:
    """Whether that is what the kernel says of a signal (sigaction(2)), and not just what was in that memory before."""
    code = info.si_code
    if info.si_signo not in CAUGHT or info.si_errno or not (-6 <= code <= 6 or code in (-60, _SI_KERNEL)):
        return False
    # From kill(2), tgkill(2) and the kernel there is a sender, or none, and nothing behind it.
    return code not in (0, -6, _SI_KERNEL) or (0 <= info.si_pid <= _MOST_PIDS and not info.si_status)


_SI_KERNEL = 0x80

_MOST_PIDS = 1 << 22
"""There are never more (``PID_MAX_LIMIT``, proc_sys_kernel(5))."""


def take_own(number: int) -> None:
    """Take back a pending signal that we ourselves have caused; one that somebody else has sent stays.

    (A standard signal is pending once, whoever sends it again: the first one's sender is told.)
    """
    while info := _signal.sigtimedwait((number,), 0):
        if info.si_pid != posix.getpid():
            posix.kill(posix.getpid(), number)
            return


def stop(number: int, is_for_group: bool) -> bool:
    """Stop with one of `STOPS`, alone or with our process group; True when we have been continued.

    False if we cannot be stopped so: in an orphaned process group, which no shell would continue, `TERMINAL_STOPS` do
    nothing (setpgid(2)).
    """
    if CONT in _signal.sigpending():  # it was meant for this stop, which would discard it
        return True
    posix.kill(0 if is_for_group else posix.getpid(), number)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (number,))
    _signal.pthread_sigmask(_signal.SIG_BLOCK, (number,))
    return CONT in _signal.sigpending()


def send_by_handle(handle: int, number: int) -> None:
    """Send a signal to the process that a pidfd stands for (pidfd_send_signal(2)).

    Raises:
        OSError: it has gone (ESRCH), or it is not ours to signal (EPERM).
    """
    _signal.pidfd_send_signal(handle, number)


def is_child_report(info: "_signal.struct_siginfo") -> bool:
    """Whether this is the kernel telling of a child, and not a SIGCHLD that somebody sent."""
    return info.si_signo == CHLD and info.si_code > 0


def is_own_doing(info: "_signal.struct_siginfo", pid: int) -> bool:
    """Whether a write of pyinit's own (to a closed pipe, or past a file size limit) raised it."""
    return info.si_pid == pid and info.si_signo in (_signal.SIGPIPE, _signal.SIGXFSZ)


def is_sent(info: "_signal.struct_siginfo") -> bool:
    """Whether a process sent it, so that ``si_pid`` names the sender (0: one outside the PID namespace)."""
    return info.si_code <= 0


def is_vouched_for(info: "_signal.struct_siginfo") -> bool:
    """Whether the kernel itself says who the sender is: with kill(2) and tgkill(2), and of what it sends of its own.

    With sigqueue(3) the sender says so, and may say anything; with F_SETSIG (fcntl(2)) a process has had it sent.
    """
    return info.si_code in (0, -6, _SI_KERNEL)


def name_of(number: int) -> str:
    """``SIGTERM`` for 15, ``SIGRTMIN+3`` for 37, ``32`` for a number without a name."""
    for name, value in _names().items():
        if value == number:
            return name
    return str(number)


def number_of(text: str) -> int:
    """The number of a signal given as ``TERM``, ``SIGTERM``, ``RTMIN+3`` or ``15``.

    Raises:
        ValueError: there is no such signal.
    """
    if text.isascii() and text.isdigit():
        number = int(text) if len(text) < 4 else 0
    else:
        # (There are other letters whose capitals are in a name: a dotless i.)
        number = _names().get("SIG" + text.upper().removeprefix("SIG"), 0) if text.isascii() else 0
    if number not in ALL:
        raise ValueError(f"there is no signal '{text}'")
    return number


_known: "dict[str, int]" = {}


def _names() -> "dict[str, int]":
    """Every name to its number, a number's usual name first. Made when first asked for: few runs ever print one."""
    if _known:
        return _known
    names = {name: int(value) for name, value in vars(_signal).items() if name[:3] == "SIG" and name[3:4] != "_"}
    for alias in ("SIGCLD", "SIGIOT", "SIGPOLL"):
        if alias in names:  # not every C library has each
            names[alias] = names.pop(alias)
    first, last = int(_signal.SIGRTMIN), int(_signal.SIGRTMAX)
    middle = (first + last) // 2
    names.update({f"SIGRTMIN+{n - first}": n for n in range(first, middle + 1)})
    names.update({f"SIGRTMAX-{last - n}": n for n in range(middle + 1, last + 1)})
    names.update({f"SIGRTMIN+{n - first}": n for n in range(middle + 1, last + 1)})
    names.update({f"SIGRTMAX-{last - n}": n for n in range(first, middle + 1)})
    _known.update(names)
    return _known
