"""The results of a measurement: series of values for each contender, and the targets for them."""

import math
import random
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Series:
    """The values of one contender, by the number of the round."""

    rounds: dict[int, float]

    @property
    def values(self) -> list[float]:
        return list(self.rounds.values())

    @cached_property
    def median(self) -> float:
        return statistics.median(self.values)

    @cached_property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third quartile."""
        if len(self.values) == 1:
            return self.values[0], self.values[0]
        lower, _, upper = statistics.quantiles(self.values, n=4, method="inclusive")
        return lower, upper


@dataclass(frozen=True)
class Quantity:
    """Something measured: its unit, a series for each contender, and the contenders (`bases`) of the ratios.

    A contender that cannot do what is measured has a remark instead of a series. Quantities of one measurement that
    belong together share a group.
    """

    name: str
    unit: str
    series: dict[str, Series]
    bases: tuple[str, ...] = ()
    remarks: dict[str, str] = field(default_factory=dict)
    group: str = ""

    @property
    def title(self) -> str:
        """The name, the unit and the group."""
        return ", ".join(filter(None, (self.name, self.unit, self.group)))

    def ratio(self, contender: str, base: str) -> float:
        """The median of the ratios to `base`, over the rounds that both took part in.

        It is not the ratio of the medians: values of the same round were taken under the same load of the machine.
        """
        values, below = self.series[contender].rounds, self.series[base].rounds
        return statistics.median(value / below[number] for number, value in values.items() if number in below)


@dataclass(frozen=True)
class Target:
    """A promise and the measured value; `reason` explains why it cannot be met, if that is known."""

    claim: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False
    reason: str = ""

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True)
class Measurement:
    """The results of one measuring module, and a description of its method."""

    name: str
    title: str
    quantities: list[Quantity]
    targets: list[Target]
    method: str

    def groups(self) -> dict[str, list[Quantity]]:
        """The quantities by group."""
        groups: dict[str, list[Quantity]] = {}
        for quantity in self.quantities:
            groups.setdefault(quantity.group, []).append(quantity)
        return groups


class Collection:
    """Collects the values of the contenders, round by round; keeps the order of the contenders."""

    def __init__(self, contenders: Iterable[str]) -> None:
        self._values: dict[str, dict[int, float]] = {name: {} for name in contenders}
        self._remarks: dict[str, str] = {}

    def add(self, number: int, contender: str, value: float) -> None:
        """Record the contender's value in round `number`."""
        self._values[contender][number] = value

    def remark(self, contender: str, text: str) -> None:
        """Record why this contender has no value."""
        self._remarks[contender] = text

    def quantity(self, name: str, unit: str, *bases: str, group: str = "") -> Quantity:
        """The collected values as a quantity."""
        series = {name: Series(values) for name, values in self._values.items() if values}
        return Quantity(name, unit, series, bases, self._remarks, group)


def in_turns(contenders: Iterable[str], rounds: int, seconds: float = math.inf) -> Iterator[tuple[int, str]]:
    """Yield the number of the round and a contender: each contender once a round, in a different order each round.

    A contender that runs after a similar one finds its code in the processor's caches. With the same order in all
    rounds, the bare interpreter would gain some percent from running after pyinit.

    A contender that has used up its `seconds` sits out the remaining rounds.
    """
    names, chance = list(contenders), random.Random(0)
    used = dict.fromkeys(names, 0.0)
    for number in range(rounds):
        chance.shuffle(names)
        for name in names:
            if used[name] < seconds:
                began = time.monotonic()
                yield number, name
                used[name] += time.monotonic() - began
