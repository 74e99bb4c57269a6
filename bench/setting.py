"""The setting that every measuring module gets."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.container import Container
from bench.contenders import Contender
from bench.engine import Engine


@dataclass(frozen=True)
class Setting:
    """The inits by name (including pyinit), the interpreter, the folder of probes, and whether the run is quick.

    `by_pip` and `engine` are set only if a measurement needs them.
    """

    inits: dict[str, Contender]
    python: str
    probes: Path
    by_pip: Contender | None
    engine: Engine | None
    quick: bool

    def probe(self, name: str) -> str:
        """The path of a built probe."""
        return str(self.probes / name)

    def bare_interpreter(self, code: str, *arguments: str) -> tuple[str, ...]:
        """The command that runs `code` in the interpreter of pyinit's launcher, without pyinit."""
        return (self.python, "-I", "-S", "-c", code, *arguments)

    def contain(self, *command: str) -> Container:
        """Run a command as PID 1."""
        return Container(self.probes / "launch", command)

    def beside(self, *command: str) -> Container:
        """Run a command that exits by itself, as an ordinary process and not as PID 1."""
        return Container(self.probes / "launch", command, "--beside")

    @contextmanager
    def load(self) -> Iterator[None]:
        """Keep every processor busy inside the ``with`` block, at normal priority."""
        command = [self.probe("burn"), str(len(os.sched_getaffinity(0)))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as burn:
            try:
                assert burn.stdout
                burn.stdout.readline()
                yield
            finally:
                burn.kill()
