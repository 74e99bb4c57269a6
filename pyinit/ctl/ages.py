"""How long a zombie has been one.

No file of /proc says when a process ended. These help:

- ``/proc/PID/stat`` has the start of the process: it cannot have been a zombie for longer. It is always there.
- ``/proc/PID/sched`` has in ``se.exec_start`` when the process last ran: for a zombie, its end. The file exists if the
  kernel has CONFIG_SCHED_DEBUG (Debian's, Ubuntu's and Fedora's have) and no sandbox hides it. The time is in
  milliseconds of the clock of one processor. The clocks of two processors differ by seconds: by the time that a
  hypervisor has taken from each (``rq_clock_task`` of the kernel). So this process moves to the same processor for a
  moment, to read "now" from the same clock.

Such an age is right to some milliseconds. It lacks the time in which the machine was suspended, or the hypervisor ran
another guest on that processor.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pyinit.kernel import procfs
from pyinit.reporting import humanize

_LAST_RUN = re.compile(rb"^se\.exec_start\s*:\s*(\d+\.\d+)", re.MULTILINE)

_MOST_EXACT = 1000
"""How many zombies get an exact age, which takes another file to read."""


@dataclass(frozen=True, order=True)
class Age:
    """How long something has lasted, in seconds; an upper bound unless `is_exact`."""

    seconds: float
    is_exact: bool

    def __str__(self) -> str:
        return f"{'' if self.is_exact else 'at most '}{humanize.duration(self.seconds)}"


def oldest(ages: Iterable[Age]) -> Age:
    """The highest of the exact ages; of all if none is exact."""
    ages = list(ages)
    return max([age for age in ages if age.is_exact] or ages)


class Ages:
    """Finds out ages. `ages` makes one that can find exact ages."""

    def __init__(self) -> None:
        self._clocks: dict[int, float | None] = {}
        """How far the clock of a processor is ahead of the monotonic one, in seconds; None if that is unknown."""

    def since_start(self, process: procfs.Process) -> float:
        """Seconds since the process was started."""
        return max(0.0, process.age())

    def since_end(self, zombie: procfs.Process) -> Age:
        """How long a zombie has been one."""
        most = self.since_start(zombie)
        ended = _last_run(str(zombie.pid))
        ahead = self._ahead(zombie.processor) if ended is not None else None
        if ended is None or ahead is None:
            return Age(most, is_exact=False)
        return Age(min(most, max(0.0, time.monotonic() + ahead - ended)), is_exact=True)

    def of_zombies(self, zombies: Iterable[procfs.Process]) -> dict[int, Age]:
        """How long each of them has been a zombie, by pid; upper bounds after the first thousand that were started."""
        by_start = sorted(zombies, key=lambda zombie: zombie.started)
        exact = {zombie.pid: self.since_end(zombie) for zombie in by_start[:_MOST_EXACT]}
        return exact | {zombie.pid: Age(self.since_start(zombie), is_exact=False) for zombie in by_start[_MOST_EXACT:]}

    def _ahead(self, processor: int) -> float | None:
        if processor not in self._clocks:
            self._clocks[processor] = None
            with contextlib.suppress(OSError):  # we may not use that processor (cpuset(7)), or it is offline
                os.sched_setaffinity(0, {processor})
                if (now := _last_run("self")) is not None:
                    self._clocks[processor] = now - time.monotonic()
        return self._clocks[processor]


@contextlib.contextmanager
def ages() -> Iterator[Ages]:
    """Find out ages; afterwards this process may run on the same processors as before."""
    try:
        processors = os.sched_getaffinity(0)
    except OSError:  # a sandbox
        processors = set()
    try:
        yield Ages()
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, processors)


def _last_run(pid: str) -> float | None:
    """When a process last ran, in seconds of the clock of its processor."""
    found = _LAST_RUN.search(procfs.read(f"/proc/{pid}/sched") or b"")
    return float(found[1]) / 1000 if found else None
