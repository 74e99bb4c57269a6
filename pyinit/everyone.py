"""All processes that are left to pyinit, signalled as one.

PID 1 has a call for it: ``kill(-1)`` reaches every process of the PID namespace but the caller, in one step that
no fork can slip through (kill(2)); those that ``docker exec`` brought in are among them. Anybody else has strangers
beside it, and walks its own descendants.
"""

import errno
import posix

from . import procfs, signals
from .log import Log

_ROUNDS = 10
"""How often to walk at most: each walk may find somebody who was born during the one before."""


def can_be_reached() -> bool:
    """Whether there is a way to them: PID 1 needs none, a walk needs /proc."""
    return posix.getpid() == 1 or procfs.is_ours()


def send(log: Log, *numbers: int) -> None:
    """Send each of the signals to every process that is left.

    Raises:
        OSError: nobody was there (ESRCH), or none of them may be signalled (EPERM).
    """
    if posix.getpid() != 1:
        _send_to_descendants(log, numbers)
        return
    for number in numbers:
        posix.kill(-1, number)


def names() -> "list[str]":
    """The names of our descendants that are alive. (Not of those that ``docker exec`` brought in.)"""
    return [found.name for found in procfs.descendants(posix.getpid()) if not found.is_dead]


def _send_to_descendants(log: Log, numbers: "tuple[int, ...]") -> None:
    reached = set()
    for _ in range(_ROUNDS):
        found = [member for member in procfs.descendants(posix.getpid()) if member.identity not in reached]
        if not found:
            break
        for member in found:
            reached.add(member.identity)
            try:
                for number in numbers:
                    procfs.send(member, number)
            except ProcessLookupError:  # it has ended meanwhile
                continue
            except OSError as error:
                name = signals.name_of(numbers[0])
                log.warning(
                    "undeliverable",
                    f"cannot send {name} to pid {member.pid} ({member.name}): {error.strerror}",
                    signal=name,
                    pid=member.pid,
                )
    if not reached:
        raise ProcessLookupError(errno.ESRCH, posix.strerror(errno.ESRCH))
