"""The inits that are compared: what each is called, and how it is told what to run."""

import subprocess
from dataclasses import dataclass

from testing import ROOT

PYINIT = "pyinit"
REFERENCE = "tini"
SUPERVISORD = "supervisord"
DIRECT = "direct"
"""No init at all: the workload itself is PID 1."""
BESIDE = "pyinit, not PID 1"
"""It makes itself the child subreaper."""
INTERPRETER = "interpreter"
"""``python3 -I -S``: the floor for anything written in Python."""

PACKAGE = ROOT / "pyinit"


@dataclass(frozen=True)
class Contender:
    """An init that takes the workload on its command line: its name, and the words that stand before it."""

    name: str
    prefix: tuple[str, ...] = ()

    def running(self, *workload: str) -> tuple[str, ...]:
        """The command that starts `workload` under this init, once."""
        return (*self.prefix, *workload)

    def version(self) -> str:
        """What the init itself says it is, without its name: catatonit says it is tini."""
        shown = subprocess.run([self.prefix[0], "--version"], capture_output=True, text=True, check=True)
        version = (shown.stdout or shown.stderr).split()[-1]  # dumb-init says it on stderr
        return version.removeprefix("v").removesuffix("_catatonit")
