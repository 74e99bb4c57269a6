"""For how long a zombie has been one.

No file of /proc says when a process ended. What there is:

- ``/proc/PID/stat`` has its start: it has not been a zombie for longer than since then. Always there.
- ``/proc/PID/sched`` has, as ``se.exec_start``, when it last ran: for a zombie that is its end. It is there where the
  kernel has CONFIG_SCHED_DEBUG (Debian's, Ubuntu's and Fedora's have) and is none of a sandbox. The time is that of one
  processor's own clock, in milliseconds, and those of two processors differ by seconds: by what a hypervisor has taken
  from each (``rq_clock_task`` of the kernel). So the "now" to compare it with is what this process gets when it has
  moved to that processor for a moment.

Counted so, an age is right to some milliseconds; a time in which the machine was suspended, or the hypervisor ran
somebody else on that processor, is missing from it.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pyinit.kernel import procfs
from pyinit.reporting import humanize as words

_LAST_RUN = re.compile(rb"^se\.exec_start\s*:\s*(\d+\.\d+)", re.MULTILINE)

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, order=True)
class Age:
    """For how long, in seconds; if not `is_exact`, that is the most it can be."""

    seconds: float
    is_exact: bool

    def __str__(self) -> str:
        return f"{'' if self.is_exact else 'at most '}{words.duration(self.seconds)}"


class Ages:
    """Tells ages. Made by `ages`."""

    def __init__(self) -> None:
        self._clocks: dict[int, float | None] = {}
        """By processor: how far its clock is ahead of the monotonic one, in seconds; None if that cannot be known."""

    def since_start(self, process: procfs.Process) -> float:
        """Seconds since the process was started."""
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - process.started / _TICKS)

    def since_end(self, zombie: procfs.Process) -> Age:
        """For how long a zombie has been one."""
        most = self.since_start(zombie)
        ended = _last_run(str(zombie.pid))
        ahead = self._ahead(zombie.processor) if ended is not None else None
        if ended is None or ahead is None:
            return Age(most, is_exact=False)
        return Age(min(most, max(0.0, time.monotonic() + ahead - ended)), is_exact=True)

    def _ahead(self, processor: int) -> float | None:
        if processor not in self._clocks:
            self._clocks[processor] = None
            with contextlib.suppress(OSError):  # a processor that is not for us (cpuset(7)), or has gone
                os.sched_setaffinity(0, {processor})
                if (now := _last_run("self")) is not None:
                    self._clocks[processor] = now - time.monotonic()
        return self._clocks[processor]


@contextlib.contextmanager
def ages() -> Iterator[Ages]:
    """What tells ages; afterwards this process runs wherever it might before."""
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
    """When a process has last run, in seconds of the clock of its processor."""
    found = _LAST_RUN.search(procfs.read(f"/proc/{pid}/sched") or b"")
    return float(found[1]) / 1000 if found else None
