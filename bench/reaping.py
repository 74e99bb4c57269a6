"""Measures how fast orphans are reaped: a single one, those of a fork storm, and a crowd that comes at once."""

import math
import statistics
from collections.abc import Sequence

from bench.contenders import DIRECT, INTERPRETER, PYINIT, REFERENCE
from bench.figures import Collection, Measurement, Quantity, Target, in_turns
from bench.setting import Setting

ORPHANS = 1_000
"""In one storm: a tenth or two of a second. Many short storms tell more than few long ones on a shared machine."""
SINGLES = 100
PAUSE = 300
"""Microseconds between two single orphans: the init shall be found asleep."""
CROWDS = (1_000, 10_000, 30_000)
"""The largest takes nearly all that there are where ``pid_max`` is 32768, so that short runs go without it."""
SLOW = 1_000
"""Orphans a second; who is slower than that is spared the larger crowds."""
NO_REAPERS = {DIRECT: "does not reap", INTERPRETER: "does not reap"}

WAKING_UP = (
    "Between the wake-up and waitpid(2) there is Python to run, and its memory, cold after the sleep, to be fetched: a "
    "storm, which finds it warm, is as fast as with tini."
)


def measure(setting: Setting) -> Measurement:
    """Have each init reap what the probes leave behind, in turns."""
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
                f"one orphan reaped after, times the time of {REFERENCE}",
                single.ratio(PYINIT, REFERENCE),
                1.25,
                reason=WAKING_UP,
            ),
            Target(
                f"orphans a second under a storm, times those of {REFERENCE}",
                storm.ratio(PYINIT, REFERENCE),
                1.0,
                at_least=True,
            ),
            Target(
                f"rate of 10,000 at once, times that of {REFERENCE}",
                1 / crowds[1].ratio(PYINIT, REFERENCE),
                0.85,
                at_least=True,
                reason=WAKING_UP,
            ),
            Target(
                "exponent that the time of pyinit grows with (1 is linear, 2 quadratic)",
                exponents.series[PYINIT].median,
                1.25,
            ),
        ],
        "The orphans here are zombies whose parent ends. One at a time: from just before the parent ends until "
        f"`kill(pid, 0)` no longer finds the orphan, the median of {SINGLES} in a start, the init asleep in between. "
        f"Storm: {ORPHANS:,} parents one after the other, as fast as a program can start them, each of which leaves "
        "one orphan. All at once: one parent that leaves them all, from its last instruction until the last of them "
        f"has gone. The exponent tells how that time grows from {sizes[0]:,} to {sizes[-1]:,}: with their number if "
        "it is 1, with its square if it is 2.",
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
    """The power of the number of orphans that the time grows with; there are so many `times` as many in the largest."""
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
