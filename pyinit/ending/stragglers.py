"""The processes that are left to pyinit: found, named, and signalled as one.

PID 1 has a call for the last: ``kill(-1)`` reaches every process of the PID namespace but the caller, in one step that
no fork can slip through (kill(2)), those of ``docker exec`` included. Any other process has strangers beside it, and
walks its own descendants.
"""

import errno
import posix
import time

from ..kernel import procfs, signals
from ..reporting import humanize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..reporting.log import Log

_QUIET = 3
"""How many walks in a row must find nothing new: one may miss a process that is born meanwhile, and whose parent
ends."""

_TIME = 0.5
"""Seconds that the walks may take at most; nothing is reaped meanwhile."""


def can_be_reached() -> bool:
    """Whether we can signal them: as PID 1 always, otherwise we have to see them."""
    return posix.getpid() == 1 or can_be_seen()


def can_be_seen() -> bool:
    """Whether /proc can be read, and is that of our PID namespace."""
    return procfs.name_of(posix.getpid()) is not None


def send(log: "Log | None", *numbers: int) -> None:
    """Send each of the signals to every process that is left.

    One that may not be signalled is a line in the `log`. (Not as PID 1: the kernel does not name it.)

    Raises:
        OSError: there was none (ESRCH).
    """
    if posix.getpid() != 1:
        _send_to_descendants(log, numbers)
        return
    for number in numbers:
        posix.kill(-1, number)


def kill() -> None:
    """Kill every process that is left. Where that takes a walk, it is one: call this until none is left."""
    if posix.getpid() == 1:
        posix.kill(-1, signals.KILL)
        return
    for member in living():
        try:
            procfs.send(member, signals.KILL)
        except OSError:  # it has ended meanwhile, or we may not kill it
            pass


def is_alone() -> bool:
    """Whether PID 1 is alone in its PID namespace: without children, and without processes from outside."""
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


def describe(members: "list[procfs.Process]") -> str:
    """``3 remaining processes (sleep x3)``."""
    if not members:
        return "all remaining processes; none can be seen"
    counted = humanize.count(len(members), "remaining process", "remaining processes")
    return f"{counted} ({humanize.names([member.name for member in members])})"


def warn(log: "Log", member: procfs.Process, number: int, error: OSError) -> None:
    """Report that a process could not be sent a signal."""
    name = signals.name_of(number)
    message = f"cannot send {name} to {member.name} (pid {member.pid}): {error.strerror}"
    log.warn_once("undeliverable", message, signal=name, pid=member.pid)


def _send_to_descendants(log: "Log | None", numbers: "tuple[int, ...]") -> None:
    reached: "dict[int, int]" = {}
    until = time.monotonic() + _TIME
    quiet = 0
    while quiet < _QUIET and time.monotonic() < until:
        quiet += 1
        asked = dict(reached)
        for member in living():
            # A child started after its parent was signalled is part of that parent's shutdown (a helper that saves its
            # work): spare it. If the parent has exited, the child was re-parented, so it existed before: signal it.
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
