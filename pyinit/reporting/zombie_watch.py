"""Looking for zombies whose parents live and do not reap them. Loaded only with ``--zombie-watch``.

A look reads ``/proc/PID/stat`` of every process, a few at a time: between them signals are forwarded and orphans
reaped. Of the parent its name is told and not its command line, which PID 1 could hang at (`procfs`).
"""

import posix
import time

from ..kernel import procfs
from . import humanize as words
from . import zombies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..ending.stages import Shutdown
    from ..kernel.procfs import Process
    from ..schedule import Deadlines
    from .log import Field, Log
    from .zombies import Neglect

_SLICE = 0.001
"""Seconds that a look goes on before the loop has its turn, and those that the loop has then."""


class Watch:
    """Says, of each parent, how many children it has not waited for; again only when it has got worse.

    A zombie counts that was one in the look before: who reaps does it sooner. The init's own children never count.
    """

    __slots__ = ("_before", "_deadlines", "_log", "_look", "_pid", "_seconds", "_shutdown", "_told")

    def __init__(self, seconds: float, shutdown: "Shutdown", deadlines: "Deadlines", log: "Log") -> None:
        """Look every so many seconds, the first time in so many seconds."""
        self._pid = posix.getpid()
        self._seconds = seconds
        self._shutdown = shutdown
        self._deadlines = deadlines
        self._log = log
        self._look: "Iterator[None] | None" = None
        """The look that goes on."""
        self._before: "dict[tuple[int, int], float]" = {}
        """The zombies of the look before, and when each was seen first."""
        self._told: "dict[tuple[tuple[int, int], bool], int]" = {}
        """How many have been told of, by whose they are, and whether those are traced; as long as that one lives."""
        deadlines.set(self.look, seconds)

    def look(self) -> None:
        """Go on with the look, or begin another."""
        look, self._look = self._look, None  # one that fails, or is not wanted any more, is over
        if self._shutdown.is_draining:  # everybody is about to end
            return
        self._deadlines.set(self.look, self._seconds)
        look = look or self._steps()
        until = time.monotonic() + _SLICE
        for _ in look:
            if time.monotonic() >= until:
                self._look = look
                self._deadlines.set(self.look, _SLICE)
                return

    def _steps(self) -> "Iterator[None]":
        """Look at everybody and tell what was found, a bit at each step."""
        now: "dict[tuple[int, int], float]" = {}
        neglects: "dict[tuple[int, bool], Neglect]" = {}
        for zombie in zombies.search():
            if zombie and zombie.is_dead and zombie.parent not in (self._pid, 0):
                first = self._before.get(zombie.identity)
                now[zombie.identity] = first or time.monotonic()
                if first is not None:
                    zombies.add(neglects, zombie)
            yield
        self._before = now
        for key in list(self._told):
            if not procfs.is_there(key[0]):
                del self._told[key]
            yield
        below: "dict[int, bool]" = {}
        for neglect in neglects.values():
            yield from self._tell(neglect, now, below)

    def _tell(
        self, neglect: "Neglect", since: "dict[tuple[int, int], float]", below: "dict[int, bool]"
    ) -> "Iterator[None]":
        waiter = neglect.waiter
        if waiter is None or neglect.pid == self._pid:  # the parent has ended, and they are ours
            return
        if self._pid != 1:  # somebody else's are none of our business, in a shared PID namespace
            yield from self._find_out(waiter, below)
            if not below[waiter.pid]:
                return
        key = waiter.identity, neglect.is_traced
        count = len(neglect.zombies)
        if count > self._told.get(key, 0):
            self._told[key] = count
            oldest = time.monotonic() - min([since[zombie.identity] for zombie in neglect.zombies])
            message = zombies.verdict(neglect, waiter.name, words.duration(oldest))
            fields: "dict[str, Field]" = {"pid": neglect.pid, "name": waiter.name, "zombies": count}
            self._log.warning("zombies", message, **fields, oldest_seconds=round(oldest, 3))
        yield

    def _find_out(self, process: "Process", below: "dict[int, bool]") -> "Iterator[None]":
        """Whether a process is a descendant of ours; for all on the way up."""
        line: "list[int]" = []
        one: "Process | None" = process
        while one and one.pid not in below and one.pid not in line:
            line.append(one.pid)
            if one.parent in (self._pid, 0):
                below[one.pid] = one.parent == self._pid
                break
            one = procfs.process(one.parent)
            yield
        found = bool(one and below.get(one.pid))
        below.update(dict.fromkeys(line, found))
