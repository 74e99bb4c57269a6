"""The inits that are compared, and what it takes to have them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PYINIT = "pyinit"
PEERS = ("tini", "dumb-init", "catatonit")
REFERENCE = "tini"
DIRECT = "direct"
INTERPRETER = "interpreter"

PACKAGE = Path(__file__).resolve().parent.parent / "pyinit"


class Unavailable(Exception):
    """What the bench needs cannot be had; the text says what in one line."""


@dataclass(frozen=True)
class Contender:
    """An init: its name, and the words that stand before the workload's on a command line."""

    name: str
    prefix: tuple[str, ...] = ()

    def running(self, *workload: str) -> tuple[str, ...]:
        """The command that starts `workload` under this init."""
        return (*self.prefix, *workload)

    def version(self) -> str:
        """What the init itself says it is, without its name: catatonit says it is tini."""
        shown = subprocess.run([self.prefix[0], "--version"], capture_output=True, text=True, check=True)
        return (shown.stdout or shown.stderr).split()[-1]  # dumb-init says it on stderr


def provide_tools() -> None:
    """Have gcc, a static libc and the peers, from Debian's packages if need be.

    Raises Unavailable.
    """
    if not _missing_packages():
        return
    if shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", *_missing_packages()]):
            # To stderr: stdout is the table's.
            subprocess.run(["apt-get", "-q", *command], env=environment, stdout=sys.stderr, check=False)
    if missing := _missing_packages():
        raise Unavailable(f"not installed, and apt-get could not help: {', '.join(missing)}")


def _missing_packages() -> list[str]:
    missing = [tool for tool in ("gcc", *PEERS) if not shutil.which(tool)]
    if "gcc" in missing:
        return [*missing, "libc6-dev"]
    asked = subprocess.run(["gcc", "-print-file-name=libc.a"], capture_output=True, text=True, check=True)
    # gcc repeats the bare name of a file that it does not find.
    return missing if os.path.isabs(asked.stdout.strip()) else [*missing, "libc6-dev"]


def find_peers() -> list[Contender]:
    """The peers, as found on PATH."""
    return [Contender(name, (shutil.which(name) or name, "--")) for name in PEERS]


def install_pyinit(folder: Path, python: str) -> Contender:
    """Install a copy of pyinit and its launcher for the interpreter `python` under `folder`.

    A copy, so that the bytecode is that of this interpreter and nobody edits what is being measured.
    Raises Unavailable.
    """
    library, launcher = folder / "lib", folder / "bin" / PYINIT
    launcher.parent.mkdir()
    try:
        shutil.copytree(PACKAGE, library / PYINIT, ignore=shutil.ignore_patterns("__pycache__"))
        install: Sequence[str | Path] = [python, "-m", "pyinit.ctl", "install", launcher.parent]
        subprocess.run(install, cwd=library, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else ""
        raise Unavailable(f"cannot install the launcher of pyinit: {said or error}") from error
    return Contender(PYINIT, (str(launcher), "--"))
