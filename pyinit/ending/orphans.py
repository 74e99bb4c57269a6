"""Live orphans, ended (``--orphans=terminate``): processes that became our children because their parent died.

The kernel tells nobody of a re-parenting, so one has to look, again and again: at the list of our children.
"""

import posix
import time

from ..kernel import procfs, signals
from . import stragglers as everyone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..reporting.log import Log
    from ..schedule import Deadlines
    from .stages import Shutdown

_INTERVAL = 1.0
"""Seconds between two looks."""


class Orphans:
    """The live orphans that have been asked to go."""

    __slots__ = ("_deadlines", "_grace", "_log", "_shutdown", "_since", "_until", "_workload")

    def __init__(self, workload: int, grace: float, shutdown: "Shutdown", deadlines: "Deadlines", log: "Log") -> None:
        """`grace` is the time between SIGTERM and SIGKILL, in seconds."""
        self._workload = workload
        self._grace = grace
        self._shutdown = shutdown
        self._deadlines = deadlines
        self._log = log
        found = procfs.process(workload)
        # Who is older was a child of the program that has executed pyinit, and has lost no parent.
        self._since = found.started if found else 0
        self._until: "dict[tuple[int, int], float]" = {}

    def end(self) -> None:
        """Look for live orphans, now and every second: SIGTERM to each new one, SIGKILL to each whose time is over."""
        if self._shutdown.is_draining:  # and so are they
            return
        self._deadlines.set(self.end, _INTERVAL)
        now = time.monotonic()
        seen = {}
        for pid in procfs.children() if procfs.is_ours() else ():
            found = procfs.process(pid) if pid != self._workload else None
            if found is None or found.is_dead or found.started < self._since:
                continue
            until = self._until.get(found.identity)
            if until is None:
                until = now + self._grace
                self._send(found, signals.TERM, signals.CONT)
            elif until <= now:
                self._send(found, signals.KILL)
                until = float("inf")  # once: it hangs in the kernel, or is not ours to kill
            seen[found.identity] = until
        self._until = seen

    def _send(self, orphan: procfs.Process, *numbers: int) -> None:
        """No handle is needed: the number of a child of ours is its own until we have waited for it."""
        try:
            for number in numbers:
                posix.kill(orphan.pid, number)
        except OSError as error:
            everyone.warn(self._log, orphan, numbers[0], error)
            return
        name = signals.name_of(numbers[0])
        message = f"{name} to {orphan.name} (pid {orphan.pid}), whose parent died"
        self._log.info("orphan", message, pid=orphan.pid, name=orphan.name, signal=name)
