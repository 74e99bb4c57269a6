"""Runs faults in turns, until the time is up."""

import importlib
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from soak.fault import Counts, Fault, Setting
from testing.waiting import Failed


@dataclass(frozen=True)
class Outcome:
    """The outcome of one run of a fault."""

    fault: str
    seed: int
    seconds: float
    counts: Counts = field(default_factory=Counts)
    broken: str = ""
    """The evidence of a broken promise; empty if all were kept."""

    def __str__(self) -> str:
        """A line for people; if a promise was broken, with the command that repeats the run."""
        done = ", ".join(f"{count:,} {what}" for what, count in sorted(self.counts.items())) or "nothing counted"
        line = f"{self.fault:10} seed {self.seed:<10} {self.seconds:6.1f} s  "
        if not self.broken:
            return line + done
        return f"{line}BROKEN: {self.broken}\n{'':12}again: {self.again}"

    @property
    def again(self) -> str:
        """The command that repeats the run."""
        return f'make soak ARGS="--only {self.fault} --seed {self.seed}"'


def fault_of(name: str) -> Fault:
    """The module of that name."""
    return cast(Fault, importlib.import_module(f"soak.{name}"))


def run_faults(
    names: Sequence[str], setting: Setting, seconds: float, seed: int | None, report: Callable[[Outcome], None]
) -> None:
    """Run the faults in turns for `seconds`, but each at least once, and report each outcome.

    With a `seed`, run each exactly once, with that seed.
    """
    until = time.monotonic() + seconds
    is_first_turn = True
    while is_first_turn or (seed is None and time.monotonic() < until):
        for name in names:
            if is_first_turn or time.monotonic() < until:
                report(_run(name, setting, random.getrandbits(32) if seed is None else seed))
        is_first_turn = False


def _run(name: str, setting: Setting, seed: int) -> Outcome:
    folder = Path(tempfile.mkdtemp(prefix="pyinit-soak-"))
    began = time.monotonic()
    counts, broken = Counts(), ""
    try:
        counts = fault_of(name).run(replace(setting, chance=random.Random(seed), folder=folder))
    except Failed as error:
        broken = str(error)
    except Exception as error:  # a bug of the soak itself is reported as a failure, too, and the other faults go on
        traceback.print_exc(file=sys.stderr)
        broken = repr(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(name, seed, time.monotonic() - began, counts, broken)
