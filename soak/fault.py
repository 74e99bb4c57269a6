"""What every fault is given, and what it gives back.

A fault is a module with a `NAME` and a function `run`, which does it once, in some seconds, and whose docstring goes
onto the page: what is done, and what has to hold. All that is left to chance comes from `Setting.chance`, so that a
seed makes the same run again, as far as a machine does.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import docker

from testing import ROOT
from testing.waiting import Failed

PROGRAMS = ROOT / "soak" / "programs"
"""The C programs that pyinit runs here: small and fast, so that there is a lot of what they do."""

Counts = Counter[str]
"""What a run has done: "orphans" that were reaped, "signals" that arrived, "faults" that were survived, and others."""


class Broken(Failed):
    """A promise was not kept; the text says what was seen."""


@dataclass(frozen=True)
class Setting:
    """What a run works with."""

    launcher: Path
    """An installed copy of pyinit; pyinitctl lies beside it."""
    python: str
    """The interpreter of the launcher."""
    programs: Path
    """A folder with the programs of `PROGRAMS`, built."""
    client: docker.DockerClient | None = None
    """None where no fault was chosen that needs an engine."""
    image: str = ""
    """The tag of pyinit's image; empty without an engine."""
    chance: random.Random = field(default_factory=random.Random)
    folder: Path = Path()
    """For this run alone, and empty."""


class Fault(Protocol):
    """A module that does one."""

    NAME: str
    """What is done, in a few words."""

    def run(self, setting: Setting) -> Counts:
        """Do it once.

        Raises:
            Broken: a promise was not kept.
        """
