"""Live orphans, ended (``--orphans=terminate``): processes that became our children because their parent died.

The kernel does not announce a re-parenting: one has to look at the list of our children, again and again.
"""

import posix
import time

from ..kernel import procfs, signals
from . import stragglers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..account import Account
    from ..reporting.log import Log
    from ..schedule import Schedule

_INTERVAL = 1.0
"""Seconds between two looks."""


class Orphans:
    """The live orphans that have been asked to end."""

    __slots__ = ("_account", "_grace", "_log", "_schedule", "_since", "_until")

    def __init__(self, account: "Account", grace: float, schedule: "Schedule", log: "Log") -> None:
        """`grace` is the time between SIGTERM and SIGKILL, in seconds. The first look is due at once."""
        self._account = account
        self._grace = grace
        self._schedule = schedule
        self._log = log
        found = procfs.process(account.pid)
        # An older process was a child of the program that executed pyinit, and has lost no parent.
        self._since = found.started if found else 0
        self._until: "dict[tuple[int, int], float]" = {}
        schedule.set(self.end, 0)

    def end(self) -> None:
        """Look for live orphans, now and every second: SIGTERM to each new one, SIGKILL when its time is over."""
        if self._account.is_draining:  # they are asked with the rest
            return
        self._schedule.set(self.end, _INTERVAL)
        if not procfs.is_ours():
            self._log.warn_once("orphan", "cannot look for orphans, without /proc")
            return
        now = time.monotonic()
        seen = {}
        children = procfs.children()
        workload = procfs.process(self._account.pid)
        if self._account.ending is None and workload and workload.is_dead:
            return  # not reached: it has just ended, so they may be what it has left, which are asked in order
        for pid in children:
            found = procfs.process(pid) if pid != self._account.pid else None
            if found is None or found.is_dead or found.started < self._since:
                continue
            until = self._until.get(found.identity)
            if until is None:
                until = now + self._grace
                if found.identity not in self._account.asked:
                    self._send(found, signals.TERM)
            elif until <= now:
                self._send(found, signals.KILL)
                until = float("inf")  # once: it hangs in the kernel, or we may not kill it
            seen[found.identity] = until
        for identity, until in self._until.items():
            if identity not in seen:
                if _exists(identity[0]):  # a zombie, or we could not look at it
                    seen[identity] = until
                else:
                    self._account.asked.pop(identity, None)
        self._until = seen

    def _send(self, orphan: procfs.Process, number: int) -> None:
        if not stragglers.ask(orphan, number, self._log):
            return
        if number == signals.TERM:
            self._account.asked[orphan.identity] = time.monotonic()
        name = signals.name_of(number)
        message = f"{name} to {orphan.name} (pid {orphan.pid}), whose parent died"
        self._log.info("orphan", message, pid=orphan.pid, name=orphan.name, signal=name)


def _exists(pid: int) -> bool:
    try:
        posix.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # not reached: EPERM: it is another user's
        pass
    return True
