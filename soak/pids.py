"""The limit on pids, reached and released."""

import os
import re
import signal

from soak.engine import ASKED_TO_STOP, BRIEF, WORKLOAD, Contained, Growth, contained, expect, expect_end
from soak.fault import Counts, Setting

NAME = "the limit on pids reached by forks, and released"

_LIMIT = 64
_FILL = f"exec {WORKLOAD} fill >/proc/1/fd/1"


def run(setting: Setting) -> Counts:
    """Fork until the container's limit on pids is reached, then kill all of these processes at once, several times.
    Then start pyinit where the limit leaves no room for the workload.

    PID 1 forwards signals while the limit is reached, and reaps all processes afterwards. If it cannot start the
    workload, it logs one line and exits with 125.
    """
    counts = Counts()
    with contained(setting, BRIEF, "--", WORKLOAD, "serve", pids_limit=_LIMIT) as container:
        container.hear("ready 0")
        growth = None
        for number in range(1, setting.chance.randint(4, 8)):
            leader = container.begin("sh", "-c", _FILL)
            container.until(lambda: _forks(container), lambda seen: len(seen) == number)  # noqa: B023
            container.execute("pyinitctl", "status")  # it may fail to start; PID 1 goes on
            container.send(signal.SIGUSR1)
            container.hear(f"signal {int(signal.SIGUSR1)}", number)
            os.killpg(leader, signal.SIGKILL)
            orphans = sum(_forks(container))
            container.until(lambda: container.status()["orphans_reaped"], orphans.__eq__)
            container.await_quiet()
            counts.update(faults=1, signals=1)
            growth = growth or Growth(container)
        if growth:
            growth.check()
        container.send(signal.SIGTERM)
        expect_end(container.end(), ASKED_TO_STOP, 1)
        counts.update(orphans=sum(_forks(container)), signals=1)
    with contained(setting, "fill", "pyinit", WORKLOAD, "serve", entrypoint=[WORKLOAD], pids_limit=_LIMIT) as full:
        end = full.end()
        expect_end(end, 125, 1)
        expect("cannot start a process" in end.errors, True, end.errors)
        counts["faults"] += 1
    return counts


def _forks(container: Contained) -> list[int]:
    """The number of forks before the limit was reached, for each time."""
    return [int(number) for number in re.findall(r"^full (\d+)$", container.output, re.MULTILINE)]
