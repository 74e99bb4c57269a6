"""What a measurement finds: series of values by contender, and the targets they are held to."""

import math
import random
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Series:
    """The values that one contender reached, by the number of the round."""

    rounds: dict[int, float]

    @property
    def values(self) -> list[float]:
        return list(self.rounds.values())

    @cached_property
    def median(self) -> float:
        return statistics.median(self.values)

    @cached_property
    def quartiles(self) -> tuple[float, float]:
        """The values that a quarter, and three quarters, of all lie below."""
        if len(self.values) == 1:
            return self.values[0], self.values[0]
        lower, _, upper = statistics.quantiles(self.values, n=4, method="inclusive")
        return lower, upper


@dataclass(frozen=True)
class Quantity:
    """Something measured: its unit, a series for each contender, and the contenders that all are set beside.

    A contender that does not do what was to be measured has a remark instead of a series. Quantities of one
    measurement that belong together have a group in common.
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
        """How many times what `base` took in the same round: the median of all rounds that both were in.

        Not the ratio of the medians: two neighbours in time share what the machine was busy with.
        """
        values, below = self.series[contender].rounds, self.series[base].rounds
        return statistics.median(value / below[number] for number, value in values.items() if number in below)


@dataclass(frozen=True)
class Target:
    """What was promised, and what came of it; `reason` tells why it cannot be met, where that is known."""

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
    """All that one measuring module found, and in a few sentences how."""

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
    """Values as they come in, round by round, of contenders that are listed in this order."""

    def __init__(self, contenders: Iterable[str]) -> None:
        self._values: dict[str, dict[int, float]] = {name: {} for name in contenders}
        self._remarks: dict[str, str] = {}

    def add(self, number: int, contender: str, value: float) -> None:
        """Note what the contender reached in the round of that number."""
        self._values[contender][number] = value

    def remark(self, contender: str, text: str) -> None:
        """Note why there is no figure of this contender."""
        self._remarks[contender] = text

    def quantity(self, name: str, unit: str, *bases: str, group: str = "") -> Quantity:
        """What has come in."""
        series = {who: Series(values) for who, values in self._values.items() if values}
        return Quantity(name, unit, series, bases, self._remarks, group)


def in_turns(contenders: Iterable[str], rounds: int, seconds: float = math.inf) -> Iterator[tuple[int, str]]:
    """The number of the round, and a contender: all once a round, each round in another order.

    Who comes after a relative finds the processor's caches filled for it: with one order for all
    rounds the bare interpreter, after pyinit, wins some percent that way.

    A contender that has used up its `seconds` sits out the other rounds.
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
