"""Looking for zombies whose parents are alive and do not reap them (``--zombie-watch``).

A look reads ``/proc/PID/stat`` of every process, a few at a time: in between, signals are forwarded and orphans reaped.
The parent is reported by its name, not by its command line: reading that could hang PID 1 (`procfs`).
"""

import posix
import time

from ..kernel import procfs
from . import humanize, zombies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..account import Account
    from ..kernel.procfs import Process
    from ..schedule import Schedule
    from .log import Field, Log
    from .zombies import Neglect

_SLICE = 0.001
"""Seconds that a look takes before the loop gets its turn, and that the loop then gets."""


class Watch:
    """Reports for each parent how many children it has not waited for; again only when there are more.

    A zombie counts if the look before has seen it, too: a parent that reaps does so sooner. The init's own children
    never count.
    """

    __slots__ = ("_account", "_before", "_log", "_look", "_pid", "_reported", "_schedule", "_seconds")

    def __init__(self, seconds: float, account: "Account", schedule: "Schedule", log: "Log") -> None:
        """Look every `seconds`, for the first time in `seconds`."""
        self._pid = posix.getpid()
        self._seconds = seconds
        self._account = account
        self._schedule = schedule
        self._log = log
        self._look: "Iterator[None] | None" = None
        """The look that is under way."""
        self._before: "dict[tuple[int, int], float]" = {}
        """The zombies of the look before, and when each was first seen."""
        self._reported: "dict[tuple[tuple[int, int], bool], int]" = {}
        """How many zombies have been reported, by the process that should wait for them, and whether it traces them."""
        schedule.set(self.look, seconds)

    def look(self) -> None:
        """Continue the look, or begin another."""
        look, self._look = self._look, None  # a look that fails is not continued
        if self._account.is_draining:  # all processes are about to end
            return
        self._schedule.set(self.look, self._seconds)
        look = look or self._steps()
        until = time.monotonic() + _SLICE
        for _ in look:
            if time.monotonic() >= until:
                self._look = look
                self._schedule.set(self.look, _SLICE)
                return

    def _steps(self) -> "Iterator[None]":
        """Look at every process and report what was found, a bit at each step."""
        if not procfs.is_ours():
            self._log.warn_once("zombies", "cannot look for zombies, without /proc")
            return
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
        for key in list(self._reported):
            if not procfs.is_there(key[0]):
                del self._reported[key]
            yield
        below: "dict[int, bool]" = {}
        for neglect in neglects.values():
            yield from self._report(neglect, now, below)

    def _report(
        self, neglect: "Neglect", since: "dict[tuple[int, int], float]", below: "dict[int, bool]"
    ) -> "Iterator[None]":
        waiter = neglect.waiter
        if waiter is None or neglect.pid == self._pid:  # the parent has ended, and they have become ours
            return  # not reached: it ended since its zombie was seen
        if self._pid != 1:  # in a shared PID namespace others have zombies, too
            yield from self._find_out(waiter, below)
            if not below[waiter.pid]:
                return
        key = waiter.identity, neglect.is_traced
        count = len(neglect.zombies)
        if count > self._reported.get(key, 0):
            self._reported[key] = count
            oldest = time.monotonic() - min([since[zombie.identity] for zombie in neglect.zombies])
            message = zombies.verdict(neglect, waiter.name, humanize.duration(oldest))
            fields: "dict[str, Field]" = {"pid": neglect.pid, "name": waiter.name, "zombies": count}
            self._log.warning("zombies", message, **fields, oldest_seconds=round(oldest, 3))
        yield

    def _find_out(self, process: "Process", below: "dict[int, bool]") -> "Iterator[None]":
        """Find out whether a process is our descendant; note it for all on the way up."""
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
