"""What every measuring module is given."""

from dataclasses import dataclass
from pathlib import Path

from bench.container import Container
from bench.contenders import Contender
from bench.engine import Engine


@dataclass(frozen=True)
class Setting:
    """The inits by name, pyinit among them, the interpreter, the folder of probes, the engine, and if time is short."""

    inits: dict[str, Contender]
    python: str
    probes: Path
    engine: Engine
    quick: bool

    def probe(self, name: str) -> str:
        """The path of a built probe."""
        return str(self.probes / name)

    def bare_interpreter(self, code: str) -> tuple[str, ...]:
        """The command that runs `code` in the interpreter of pyinit's launcher, without pyinit."""
        return (self.python, "-I", "-S", "-c", code)

    def contain(self, *command: str) -> Container:
        """Run a command as PID 1."""
        return Container(self.probes / "launch", command)
