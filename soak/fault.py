"""The interface of a fault: what it gets, and what it returns.

A fault is a module with a `NAME` and a function `run`. `run` injects the fault once, in some seconds. Its docstring
goes onto the page: it says what is done, and what has to hold. All random choices come from `Setting.chance`, so the
same seed repeats the same run, as far as the machine does.
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
"""The C programs that pyinit runs here: small and fast, so that a run does a lot."""

Counts = Counter[str]
"""What a run has counted: "orphans" reaped, "signals" delivered, "faults" survived, and others."""


class Broken(Failed):
    """A promise was broken; the text says what was seen."""


@dataclass(frozen=True)
class Setting:
    """The setting of a run."""

    launcher: Path
    """An installed copy of pyinit, with pyinitctl beside it."""
    python: str
    """The interpreter of the launcher."""
    programs: Path
    """The folder of the built `PROGRAMS`."""
    client: docker.DockerClient | None = None
    """None if no fault of the soak needs an engine."""
    image: str = ""
    """The tag of pyinit's image; empty without an engine."""
    chance: random.Random = field(default_factory=random.Random)
    folder: Path = Path()
    """An empty folder for this run."""


class Fault(Protocol):
    """A module that injects one kind of fault."""

    NAME: str
    """The fault in a few words."""

    def run(self, setting: Setting) -> Counts:
        """Inject the fault once.

        Raises:
            Broken: a promise was broken.
        """
