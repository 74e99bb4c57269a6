"""Measures how fast orphans are reaped: one at a time, in a fork storm, and many at once."""

import math
import statistics
from collections.abc import Sequence

from bench.contenders import DIRECT, INTERPRETER, PYINIT, REFERENCE
from bench.figures import Collection, Measurement, Quantity, Target, in_turns
from bench.setting import Setting

ORPHANS = 1_000
"""Orphans in a storm, which takes 0.1 to 0.2 s. On a shared machine, many short storms say more than few long ones."""
SINGLES = 100
PAUSE = 300
"""Microseconds between two single orphans, so that the init is asleep again."""
CROWDS = (1_000, 10_000, 30_000)
"""The largest uses nearly all pids if ``pid_max`` is 32768, so quick runs leave it out."""
SLOW = 1_000
"""Orphans per second. An init below this rate is not measured with the larger crowds."""
NO_REAPERS = {DIRECT: "does not reap", INTERPRETER: "does not reap"}

WAKING_UP = (
    "Between the wake-up and waitpid(2), Python code runs with caches that are cold after the sleep. In a storm the "
    "caches are warm, and pyinit is as fast as tini."
)


def measure(setting: Setting) -> Measurement:
    """Have each init reap the orphans that the probes leave, in turns."""
    single = _one_at_a_time(setting, 5 if setting.quick else 20)
    storm = _storms(setting, 12 if setting.quick else 80)
    sizes = CROWDS[:-1] if setting.quick else CROWDS
    crowds = _crowds(setting, sizes, 2 if setting.quick else 5)
    exponents = _exponents(crowds[0], crowds[-1], sizes[-1] / sizes[0])
    return Measurement(
        "reaping",
        "Orphans reaped",
        [single, storm, *crowds, exponents],
        [
            Target(
                f"time until a single orphan is reaped: pyinit / {REFERENCE}",
                single.ratio(PYINIT, REFERENCE),
                1.25,
                reason=WAKING_UP,
            ),
            Target(
                f"orphans reaped per second in a storm: pyinit / {REFERENCE}",
                storm.ratio(PYINIT, REFERENCE),
                1.0,
                at_least=True,
            ),
            Target(
                f"rate at 10,000 orphans at once: pyinit / {REFERENCE}",
                1 / crowds[1].ratio(PYINIT, REFERENCE),
                0.85,
                at_least=True,
                reason=WAKING_UP,
            ),
            Target(
                "exponent of pyinit's time over the number of orphans (1 is linear, 2 quadratic)",
                exponents.series[PYINIT].median,
                1.25,
            ),
        ],
        "The orphans here are zombies whose parent exits. One at a time: the time from just before the parent exits "
        f"until `kill(pid, 0)` no longer finds the orphan. A value is the median of {SINGLES} orphans of one start, "
        f"and the init sleeps between them. Storm: {ORPHANS:,} parents start one after the other, as fast as a program "
        "can start them, and each leaves one orphan. All at once: one parent leaves all orphans; the time from its "
        "last instruction until the last orphan has been reaped. The exponent describes how that time grows from "
        f"{sizes[0]:,} to {sizes[-1]:,} orphans: 1 is linear, 2 is quadratic.",
    )


def _one_at_a_time(setting: Setting, rounds: int) -> Quantity:
    found = _collection(setting)
    for number, name in in_turns(setting.inits, rounds, seconds=4 if setting.quick else 20):
        with setting.contain(*setting.inits[name].running(setting.probe("orphan"), str(PAUSE))) as container:
            container.hear()
            container.settle(quiet=0.05)
            (first,) = container.ask("1")
            nanoseconds = [first] if first > 1e9 / SLOW else container.ask(str(SINGLES))
        found.add(number, name, statistics.median(nanoseconds) / 1e3)
    return found.quantity("one at a time", "µs", REFERENCE)


def _storms(setting: Setting, rounds: int) -> Quantity:
    found = _collection(setting)
    for number, name in in_turns(setting.inits, rounds, seconds=4 if setting.quick else 20):
        with setting.contain(*setting.inits[name].running(setting.probe("storm"))) as container:
            container.hear()
            since_start, _ = container.ask(f"{ORPHANS} 1")
        found.add(number, name, ORPHANS / since_start * 1e9)
    return found.quantity("storm", "orphans/s", REFERENCE)


def _crowds(setting: Setting, sizes: Sequence[int], rounds: int) -> list[Quantity]:
    found = {size: _collection(setting) for size in sizes}
    slow: dict[str, float] = {}
    for number, name in in_turns(setting.inits, rounds, seconds=10 if setting.quick else 30):
        for size, collection in found.items():
            if size > sizes[0] and name in slow:
                collection.remark(name, f"not tried, at {slow[name]:.0f} orphans/s")
                continue
            with setting.contain(*setting.inits[name].running(setting.probe("storm"))) as container:
                container.hear()
                _, since_left = container.ask(f"{size} {size}")
            collection.add(number, name, since_left / 1e6)
            if (rate := size / since_left * 1e9) < SLOW:
                slow[name] = rate
    return [found[size].quantity(f"{size:,}", "ms", REFERENCE, group="all at once") for size in sizes]


def _exponents(smallest: Quantity, largest: Quantity, times: float) -> Quantity:
    """The exponent k if time grows with the number of orphans to the power k; `largest` has `times` as many."""
    found = Collection(smallest.series)
    for name, series in largest.series.items():
        for number, value in series.rounds.items():
            grown = math.log(value / smallest.series[name].rounds[number])
            found.add(number, name, grown / math.log(times))
    return found.quantity("exponent", "", group="all at once")


def _collection(setting: Setting) -> Collection:
    found = Collection(setting.inits)
    for name, remark in NO_REAPERS.items():
        found.remark(name, remark)
    return found
