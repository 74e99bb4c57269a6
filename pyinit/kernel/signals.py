"""Signals: their names and numbers, the sets that pyinit works with, and the calls that deal in them.

The only module that touches ``_signal``: the public ``signal`` wraps the same calls in enums, which cost 3.7 ms at the
start. See signal(7).
"""

import posix
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

ALL = tuple(_signal.valid_signals())
"""Every signal that a program may name: 1 to 64 without those that the C library keeps for itself (nptl(7)): 32 and
33, with musl 34 too. (Tuples, here and below: a set of that size takes 4 kB for as long as PID 1 lives.)"""

CAUGHT = tuple(sorted({*ALL} - {_signal.SIGKILL, _signal.SIGSTOP}))
"""What pyinit blocks, waits for and forwards. SEGV and the other faults are among them: somebody may send one, and the
kernel ends a process that faults while it blocks the signal."""

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
"""The signals that ask a workload to end, and start the stop timeout."""

TERMINAL_STOPS = (TSTP, TTIN, TTOU)
"""The signals that stop a job of a shell: for Ctrl-Z, and for the use of a terminal in the background (termios(3))."""

STOPS = (STOP, *TERMINAL_STOPS)

_SELF_INFLICTED = (
    _signal.SIGPIPE,
    _signal.SIGXFSZ,
    _signal.SIGXCPU,
    _signal.SIGALRM,
    _signal.SIGVTALRM,
    _signal.SIGPROF,
)
"""The signals that the kernel sends a process for its own writes, processor time and timers."""

_SI_KERNEL = 0x80

_MOST_PIDS = 1 << 22
"""No pid is larger (``PID_MAX_LIMIT``, proc_sys_kernel(5))."""


def block() -> "set[int]":
    """Block every signal that can be blocked; return the mask as it was.

    Raises:
        OSError: a sandbox refuses.
    """
    try:
        return set(_signal.pthread_sigmask(_signal.SIG_BLOCK, CAUGHT))
    except OSError as error:  # not reached: takes a sandbox that refuses sigprocmask(2)
        raise OSError(error.errno, f"cannot block signals: {error.strerror}") from None


def blocked() -> "set[int]":
    """The signals that are blocked."""
    return set(_signal.pthread_sigmask(_signal.SIG_BLOCK, ()))


def restore(mask: "set[int]") -> None:
    """Go back to the mask that `block` or `blocked` returned.

    By unblocking: the C library strips its own signals from every mask that is set, and they would be lost.
    """
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {*CAUGHT} - mask)


def use_defaults() -> bool:
    """Undo what CPython did to the dispositions; return whether SIGCHLD was inherited as ignored.

    CPython ignores SIGPIPE and SIGXFSZ and catches SIGINT before our first line runs, and keeps no record of
    what the first two were: they go back to the default, which is what a container engine gives PID 1. A
    SIGINT that was inherited as ignored stays ignored, and so do all others.

    Raises:
        OSError: a sandbox refuses.
    """
    try:
        for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
            _signal.signal(number, _signal.SIG_DFL)
        if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        return hear_of_children()
    except OSError as error:  # not reached: takes a sandbox that refuses sigaction(2)
        raise OSError(error.errno, f"cannot set what signals do: {error.strerror}") from None


def hear_of_children() -> bool:
    """Stop ignoring SIGCHLD; return whether it was ignored: the kernel would reap in our place, and the statuses would
    be lost (wait(2))."""
    return _signal.signal(CHLD, _signal.SIG_DFL) == _signal.SIG_IGN


def is_ignored(number: int) -> bool:
    """Whether a signal is ignored."""
    return _signal.getsignal(number) == _signal.SIG_IGN


def catch(numbers: "tuple[int, ...]") -> None:
    """Catch those of these signals that have their default action, and do nothing; exec(2) restores the default."""
    for number in numbers:
        if _signal.getsignal(number) == _signal.SIG_DFL:
            _signal.signal(number, lambda *_: None)


def ignore_children() -> None:
    """Ignore SIGCHLD, for a workload that was to inherit it so."""
    _signal.signal(CHLD, _signal.SIG_IGN)


def stop_timers() -> "list[tuple[int, tuple[float, float]]]":
    """Stop the timers of this process (setitimer(2)); return them for `start_timers`."""
    kinds = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)
    return [(kind, _signal.setitimer(kind, 0)) for kind in kinds]


def start_timers(timers: "list[tuple[int, tuple[float, float]]]") -> None:
    """Go on with what `stop_timers` has stopped."""
    for kind, (seconds, interval) in timers:
        if seconds:
            _signal.setitimer(kind, seconds, interval)


def wait(seconds: "float | None") -> "_signal.struct_siginfo | None":
    """Sleep until one of `CAUGHT` is pending, and take it; None if none comes within `seconds`.

    The clock is the monotonic one: setting the time of day does not move a deadline. A stop and continue of
    pyinit itself goes unnoticed (PEP 475). After one that outlasts `seconds` (Ctrl-Z, a pause of the container) CPython
    3.11 to 3.13 return a structure that nobody has filled in: a signal that was never sent, and could end the workload.
    `_is_genuine` recognizes it. (A timer of our own in place of `seconds` would be no better: its SIGALRM, while
    pending, would swallow one that somebody sends.)
    """
    if seconds is None:
        return _signal.sigwaitinfo(CAUGHT)
    until = time.monotonic() + seconds
    info = _signal.sigtimedwait(CAUGHT, seconds)
    return None if info and time.monotonic() >= until and not _is_genuine(info) else info


def _is_genuine(info: "_signal.struct_siginfo") -> bool:
    """Whether the kernel can have filled this in (sigaction(2)), or it is what that memory held before."""
    code = info.si_code
    if info.si_signo not in CAUGHT or info.si_errno or not (-6 <= code <= 6 or code in (-60, _SI_KERNEL)):
        return False
    # kill(2), tgkill(2) and the kernel name at most a sender, and no status.
    return code not in (0, -6, _SI_KERNEL) or (0 <= info.si_pid <= _MOST_PIDS and not info.si_status)


def take_own(number: int) -> None:
    """Take back a pending signal that we have caused ourselves; one that somebody else has sent stays pending.

    (A standard signal is pending once, however often it is sent: the structure names the first sender.)
    """
    while info := _signal.sigtimedwait((number,), 0):
        if info.si_pid != posix.getpid():
            posix.kill(posix.getpid(), number)  # not reached: the same signal has to come within microseconds
            return  # not reached: as above


def stop(number: int, is_for_group: bool) -> bool:
    """Stop with one of `STOPS`, alone or with our process group; True once we have been continued.

    False if the kernel does not stop us: `TERMINAL_STOPS` do nothing in an orphaned process group, which no shell would
    continue (setpgid(2)), and none of `STOPS` stops PID 1.
    """
    if CONT in _signal.sigpending():  # it was meant for this stop, which would discard it
        return True  # not reached: SIGCONT has to come within microseconds
    posix.kill(0 if is_for_group else posix.getpid(), number)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (number,))
    _signal.pthread_sigmask(_signal.SIG_BLOCK, (number,))
    return CONT in _signal.sigpending()


def send_by_handle(handle: int, number: int) -> None:
    """Send a signal to the process that a pidfd stands for (pidfd_send_signal(2)).

    Raises:
        OSError: it has exited (ESRCH), or we may not signal it (EPERM).
    """
    _signal.pidfd_send_signal(handle, number)


def is_child_report(info: "_signal.struct_siginfo") -> bool:
    """Whether the kernel reports a child with it; otherwise somebody has sent a SIGCHLD."""
    return info.si_signo == CHLD and info.si_code > 0


def is_self_inflicted(info: "_signal.struct_siginfo", pid: int) -> bool:
    """Whether the kernel sent it to process `pid`, the calling one, for what that has done itself.

    For a write to a closed pipe or past a file size limit the kernel names the writer as the sender.
    """
    return info.si_signo in _SELF_INFLICTED and (info.si_code > 0 or info.si_pid == pid)


def is_sent(info: "_signal.struct_siginfo") -> bool:
    """Whether a process sent it, so that ``si_pid`` names the sender (0: one outside of the PID namespace)."""
    return info.si_code <= 0


def is_vouched_for(info: "_signal.struct_siginfo") -> bool:
    """Whether the kernel itself names the sender: with kill(2) and tgkill(2), and for what it sends of its own.

    With sigqueue(3) the sender names itself, and may lie; with F_SETSIG (fcntl(2)) a process has had it sent.
    """
    return info.si_code in (0, -6, _SI_KERNEL)


def name_of(number: int) -> str:
    """``SIGTERM`` for 15, ``SIGRTMIN+3`` for 37, ``32`` for a number without a name."""
    for name, value in _names().items():
        if value == number:
            return name
    return str(number)  # not reached: every number that is caught has a name here


def number_of(text: str) -> int:
    """The number of a signal given as ``TERM``, ``SIGTERM``, ``RTMIN+3`` or ``15``.

    Raises:
        ValueError: there is no such signal.
    """
    from .numbers import whole

    number = whole(text, 64)
    if number is None and text.isascii():  # other letters may have ASCII capitals: a dotless i
        number = _names().get("SIG" + text.upper().removeprefix("SIG"))
    if number is None or number not in ALL:
        raise ValueError(f"there is no signal '{text}'")
    return number


_known: "dict[str, int]" = {}


def _names() -> "dict[str, int]":
    """Every name to its number, a number's usual name first. Made when first needed: few runs print one."""
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
