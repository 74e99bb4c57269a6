"""Memory use up to the cgroup's limit, so that the kernel's out-of-memory killer runs, again and again."""

import re
import signal

from soak.engine import ASKED_TO_STOP, BRIEF, WORKLOAD, Growth, contained, expect, expect_end
from soak.fault import Broken, Counts, Setting

NAME = "memory use up to the cgroup's limit, and the kernel's out-of-memory killer"

_LIMIT = {"mem_limit": "48m", "memswap_limit": "48m"}
_BOUND = "the cgroup's limit is 48 MiB"
_KILLED = 128 + signal.SIGKILL


def run(setting: Setting) -> Counts:
    """Let processes use up all memory of the container while orphans are made, until the kernel kills a process. Then
    let the workload itself do that.

    PID 1 survives as long as there is another process for the kernel to choose, and keeps reaping and forwarding. The
    status is right, and the report counts every process that was killed.
    """
    counts = Counts()
    _beside(setting, counts)
    with contained(setting, WORKLOAD, "eat", **_LIMIT) as container:
        end = container.end()
        expect_end(end, _KILLED, 1)
        expect(f": out of memory ({_BOUND}, 1 kill)" in end.errors, True, end.errors)
        counts["faults"] += 1
    return counts


def _beside(setting: Setting, counts: Counts) -> None:
    with contained(setting, "--zombie-watch=0.05", BRIEF, "--", WORKLOAD, "serve", **_LIMIT) as container:
        container.hear("ready 0")
        container.begin(WORKLOAD, "orphans")
        container.begin(WORKLOAD, "spare")  # or, once in a hundred kills, the next one would be PID 1
        container.until(lambda: container.status()["orphans_reaped"], bool)
        growth = Growth(container)
        kills = setting.chance.randint(5, 10)
        for number in range(1, kills + 1):
            status, said = container.execute(WORKLOAD, "eat")
            expect(status, _KILLED, f"exit status of a process that used up the memory (output {said!r})")
            container.send(signal.SIGUSR1)
            container.hear(f"signal {int(signal.SIGUSR1)}", number)
        orphans = container.status()["orphans_reaped"]
        growth.check()
        container.send(signal.SIGTERM)
        end = container.end()
        expect_end(end, ASKED_TO_STOP, 1)
        reported = re.search(rf"; (\d+) other process(?:es)? killed: out of memory \({_BOUND}\)", end.errors)
        if not reported or int(reported[1]) < kills:
            raise Broken(f"{kills} processes were killed out of memory, but the report is {end.errors!r}")
        counts.update(faults=kills, signals=kills + 1, orphans=orphans)
