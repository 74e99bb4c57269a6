"""Looking for zombies whose parents live and do not reap them. Loaded only with ``--zombie-watch``.

A look reads ``/proc/PID/stat`` of every process, a few at a time: between them signals are forwarded and orphans
reaped. Of the parent PID 1 reads its name and not its command line, which it could hang at (`procfs`).
"""

import posix
import time

from . import procfs, words, zombies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .deadlines import Deadlines
    from .log import Field, Log
    from .procfs import Process
    from .shutdown import Shutdown
    from .zombies import Neglect

_SLICE = 0.001
"""Seconds that a look goes on before the loop has its turn."""


class Watch:
    """Says, of each parent, how many children it has not waited for; again only when it has got worse.

    A zombie counts that was one in the look before: who reaps does it sooner. The init's own children never count.
    """

    __slots__ = (
        "_before",
        "_deadlines",
        "_entries",
        "_found",
        "_log",
        "_now",
        "_pid",
        "_seconds",
        "_shutdown",
        "_told",
    )

    def __init__(self, seconds: float, shutdown: "Shutdown", deadlines: "Deadlines", log: "Log") -> None:
        """Look every so many seconds, the first time in so many seconds."""
        self._pid = posix.getpid()
        self._seconds = seconds
        self._shutdown = shutdown
        self._deadlines = deadlines
        self._log = log
        self._entries: "Iterator[Process | None] | None" = None
        """Whom the look that goes on has yet to see."""
        self._now: "dict[tuple[int, int], float]" = {}
        """The zombies that it has seen, and when each was seen first."""
        self._before: "dict[tuple[int, int], float]" = {}
        """Those of the look before."""
        self._found: "dict[tuple[int, bool], Neglect]" = {}
        """Those that were seen by both."""
        self._told: "dict[tuple[tuple[int, int], bool], int]" = {}
        """How many have been told of, by whose they are, and whether those are traced."""
        deadlines.set(self.look, seconds)

    def look(self) -> None:
        """Look at some more processes, and tell what was found when all have been looked at."""
        if self._shutdown.is_draining:  # everybody is about to end
            return
        self._deadlines.set(self.look, self._seconds)
        if self._entries is None:
            self._entries = zombies.search()
        until = time.monotonic() + _SLICE
        for zombie in self._entries:
            if zombie and zombie.is_dead and zombie.parent not in (self._pid, 0):
                self._see(zombie)
            if time.monotonic() >= until:
                self._deadlines.set(self.look, 0)
                return
        self._entries = None
        self._tell()
        self._before, self._now, self._found = self._now, {}, {}

    def _see(self, zombie: "Process") -> None:
        first = self._before.get(zombie.identity)
        if first is not None:
            zombies.add(self._found, zombie)
        self._now[zombie.identity] = first or time.monotonic()

    def _tell(self) -> None:
        told = {}
        for neglect in self._found.values():
            waiter = neglect.waiter
            if waiter is None or neglect.pid == self._pid:  # the parent has ended, and they are ours
                continue
            if self._pid != 1 and not procfs.is_below(waiter, self._pid):  # somebody else's, in a shared PID namespace
                continue
            key = waiter.identity, neglect.is_traced
            before = self._told.get(key, 0)
            count = len(neglect.zombies)
            told[key] = max(count, before)
            if count > before:
                oldest = time.monotonic() - min([self._now[zombie.identity] for zombie in neglect.zombies])
                message = zombies.verdict(neglect, waiter.name, words.duration(oldest))
                fields: "dict[str, Field]" = {"pid": neglect.pid, "name": waiter.name, "zombies": count}
                self._log.warning("zombies", message, **fields, oldest_seconds=round(oldest, 3))
        self._told = told
