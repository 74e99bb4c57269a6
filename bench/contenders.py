"""The inits that are compared: their names, and their command lines."""

import subprocess
from dataclasses import dataclass

from testing import ROOT

PYINIT = "pyinit"
REFERENCE = "tini"
SUPERVISORD = "supervisord"
DIRECT = "direct"
"""No init at all: the workload itself is PID 1."""
BESIDE = "pyinit, not PID 1"
"""pyinit as an ordinary process, which makes itself the child subreaper."""
INTERPRETER = "interpreter"
"""``python3 -I -S``: the lower bound for anything written in Python."""

BY_PIP = "pyinit, by pip"
"""The command that pip installs, in a virtual environment."""

PACKAGE = ROOT / "pyinit"


@dataclass(frozen=True)
class Contender:
    """An init that takes the workload on its command line: its name, and the words before the workload."""

    name: str
    prefix: tuple[str, ...] = ()

    def running(self, *workload: str) -> tuple[str, ...]:
        """The command that starts `workload` under this init. It is good for one start."""
        return (*self.prefix, *workload)

    def version(self) -> str:
        """The version that the init prints, without the name: catatonit calls itself tini."""
        shown = subprocess.run([self.prefix[0], "--version"], capture_output=True, text=True, check=True)
        version = (shown.stdout or shown.stderr).split()[-1]  # dumb-init prints it to stderr
        return version.removeprefix("v").removesuffix("_catatonit")
