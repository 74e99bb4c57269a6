"""All processes that are left to pyinit: signalled as one, told by name.

PID 1 has a call for it: ``kill(-1)`` reaches every process of the PID namespace but the caller, in one step that
no fork can slip through (kill(2)); those that ``docker exec`` brought in are among them. Anybody else has strangers
beside it, and walks its own descendants.
"""

import errno
import posix
import time

from ..kernel import procfs, signals
from ..reporting.log import Log

_QUIET = 3
"""How many walks in a row must find nobody new: one may miss who is born while it goes on, and whose parent ends."""

_TIME = 0.5
"""Seconds that the walks may take at most; meanwhile nothing is reaped."""

_MOST_NAMES = 10
"""So many different names are told: a line should stay one that can be read."""


def can_be_reached() -> bool:
    """Whether there is a way to them: PID 1 needs none, a walk needs /proc, and a descriptor to read it with."""
    return posix.getpid() == 1 or (procfs.is_ours() and procfs.process(posix.getpid()) is not None)


def send(log: "Log | None", *numbers: int) -> None:
    """Send each of the signals to every process that is left.

    Who may not be signalled is a line in the `log`. (Not as PID 1: the kernel keeps that to itself.)

    Raises:
        OSError: nobody was there (ESRCH).
    """
    if posix.getpid() != 1:
        _send_to_descendants(log, numbers)
        return
    for number in numbers:
        posix.kill(-1, number)


def kill() -> None:
    """Kill every process that is left. Where that takes a walk, it is one: call this until nobody is left."""
    if posix.getpid() == 1:
        posix.kill(-1, signals.KILL)
        return
    for member in living():
        try:
            procfs.send(member, signals.KILL)
        except OSError:  # it has ended meanwhile, or is not ours to kill
            pass


def is_alone() -> bool:
    """Whether PID 1 is alone in its PID namespace: no child, and nobody who came in from outside."""
    try:
        posix.kill(-1, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def living() -> "list[procfs.Process]":
    """Our descendants that are alive. (Not those that ``docker exec`` brought in.)"""
    return [found for found in procfs.descendants(posix.getpid()) if not found.is_dead]


def different(names: "list[str]") -> "list[str]":
    """The names, each once, and not too many."""
    return list(dict.fromkeys(names))[:_MOST_NAMES]


def summary(names: "list[str]") -> str:
    """The names in a line, each with how often it occurs."""
    told = different(names)
    more = len(set(names)) - len(told)
    counted = [name if names.count(name) == 1 else f"{names.count(name)} {name}" for name in told]
    return ", ".join(counted) + (f" and {more} more" if more else "")


def _send_to_descendants(log: "Log | None", numbers: "tuple[int, ...]") -> None:
    reached: "dict[int, int]" = {}
    until = time.monotonic() + _TIME
    quiet = 0
    while quiet < _QUIET and time.monotonic() < until:
        quiet += 1
        asked = dict(reached)
        for member in living():
            # What a process starts that has got the signal is its answer (a helper that saves its work), and is
            # left alone; who has lost such a parent was there before.
            if reached.get(member.pid) == member.started or member.parent in asked:
                continue
            quiet = 0
            reached[member.pid] = member.started
            try:
                for number in numbers:
                    procfs.send(member, number)
            except ProcessLookupError:  # it has ended meanwhile
                continue
            except OSError as error:
                if log:
                    warn(log, member, numbers[0], error)
    if not reached:
        raise ProcessLookupError(errno.ESRCH, posix.strerror(errno.ESRCH))


def warn(log: Log, member: procfs.Process, number: int, error: OSError) -> None:
    """Say that a process could not be sent a signal."""
    name = signals.name_of(number)
    message = f"cannot send {name} to {member.name} (pid {member.pid}): {error.strerror}"
    log.warning("undeliverable", message, signal=name, pid=member.pid)
