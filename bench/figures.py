"""What a measurement finds: series of values by contender, and the targets they are held to."""

import random
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Series:
    """The values that one contender reached, in the order of measuring."""

    values: list[float]

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
    """Something measured: its unit, a series for each contender, and the contenders that all are set beside."""

    name: str
    unit: str
    series: dict[str, Series]
    bases: tuple[str, ...] = ()

    def ratio(self, contender: str, base: str) -> float:
        """How many times what `base` took in the same round: the median of all rounds.

        Not the ratio of the medians: two neighbours in time share what the machine was busy with.
        """
        pairs = zip(self.series[contender].values, self.series[base].values, strict=True)
        return statistics.median(value / below for value, below in pairs)


@dataclass(frozen=True)
class Target:
    """What was promised, and what came of it."""

    claim: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True)
class Measurement:
    """All that one measuring module found."""

    name: str
    title: str
    quantities: list[Quantity]
    targets: list[Target]


class Collection:
    """Values as they come in, round by round, of contenders that are listed in this order."""

    def __init__(self, contenders: Iterable[str]) -> None:
        self._values: dict[str, list[float]] = {name: [] for name in contenders}

    def add(self, contender: str, value: float) -> None:
        self._values[contender].append(value)

    def quantity(self, name: str, unit: str, *bases: str) -> Quantity:
        return Quantity(name, unit, {who: Series(values) for who, values in self._values.items()}, bases)


def in_turns(contenders: Iterable[str], rounds: int) -> Iterator[list[str]]:
    """The contenders once a round, each round in another order.

    Who comes after a relative finds the processor's caches filled for it: with one order for all
    rounds the bare interpreter, after pyinit, wins some percent that way.
    """
    names, chance = list(contenders), random.Random(0)
    for _ in range(rounds):
        chance.shuffle(names)
        yield names.copy()
