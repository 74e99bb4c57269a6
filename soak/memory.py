"""Memory up to the cgroup's limit, so that the kernel kills for it, again and again."""

import re
import signal

from soak.engine import ASKED_TO_STOP, BRIEF, WORKLOAD, Growth, contained, expect, expect_end
from soak.fault import Broken, Counts, Setting

NAME = "memory up to the cgroup's limit, and the kernel's killer at work"

_LIMIT = {"mem_limit": "48m", "memswap_limit": "48m"}
_BOUND = "the cgroup's limit is 48 MiB"
_KILLED = 128 + signal.SIGKILL


def run(setting: Setting) -> Counts:
    """Let processes eat all memory that the container may have, while orphans are made, until the kernel kills for it;
    then let the workload do that.

    PID 1 lives on, reaps and forwards all the while, the status is right, and the report tells of each that was killed.
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
        container.until(lambda: container.status()["orphans_reaped"], bool)
        growth = Growth(container)
        kills = setting.chance.randint(5, 10)
        for number in range(1, kills + 1):
            status, said = container.execute(WORKLOAD, "eat")
            expect(status, _KILLED, f"one who ate all memory ended, and said {said!r}")
            container.send(signal.SIGUSR1)
            container.hear(f"signal {int(signal.SIGUSR1)}", number)
        orphans = container.status()["orphans_reaped"]
        growth.check()
        container.send(signal.SIGTERM)
        end = container.end()
        expect_end(end, ASKED_TO_STOP, 1)
        told = re.search(rf"; (\d+) other process(?:es)? killed: out of memory \({_BOUND}\)", end.errors)
        if not told or int(told[1]) < kills:
            raise Broken(f"{kills} were killed for want of memory, and the report is {end.errors!r}")
        counts.update(faults=kills, signals=kills + 1, orphans=orphans)
