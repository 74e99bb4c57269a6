"""What the bench needs on this machine: a compiler, the peers, and a copy of pyinit."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.contenders import PACKAGE, PYINIT, SUPERVISORD, Contender, Unavailable
from bench.supervisors import S6, Supervisord

PACKAGES = {
    "gcc": "gcc",
    "tini": "tini",
    "dumb-init": "dumb-init",
    "catatonit": "catatonit",
    "docker-init": "docker.io",
    "s6-svscan": "s6",
    SUPERVISORD: "supervisor",
}
"""The Debian package of each tool."""
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/libexec/docker"])
"""Docker's own packages keep docker-init where no shell looks."""


def find(tool: str) -> str | None:
    """The path of an installed tool, or None."""
    return shutil.which(tool, path=PATH)


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
    missing = [package for tool, package in PACKAGES.items() if not find(tool)]
    if "gcc" in missing:
        return [*missing, "libc6-dev"]
    asked = subprocess.run(["gcc", "-print-file-name=libc.a"], capture_output=True, text=True, check=True)
    # gcc repeats the bare name of a file that it does not find.
    return missing if os.path.isabs(asked.stdout.strip()) else [*missing, "libc6-dev"]


def find_peers(folder: Path) -> list[Contender]:
    """The peers, as found on this machine; those that need files write them under `folder`."""
    simple = [Contender(tool, (_path(tool), "--")) for tool in ("tini", "dumb-init", "catatonit", "docker-init")]
    return [
        *simple,
        S6("s6", (_path("s6-svscan"),), folder),
        Supervisord(SUPERVISORD, (_path(SUPERVISORD),), folder),
    ]


def _path(tool: str) -> str:
    return find(tool) or tool


def install_pyinit(folder: Path, python: str) -> Contender:
    """Install a copy of pyinit and its launcher for the interpreter `python` under `folder`, as the Dockerfile does.

    A copy, so that the bytecode is that of this interpreter and nobody edits what is being measured.
    Raises Unavailable.
    """
    library, launcher = folder / "lib", folder / "bin" / PYINIT
    launcher.parent.mkdir()
    try:
        shutil.copytree(PACKAGE, library / PYINIT, ignore=shutil.ignore_patterns("__pycache__"))
        install: Sequence[str | Path] = [python, "-m", "pyinit.ctl", "install", launcher.parent]
        in_place_of_sources = [python, "-X", "no_debug_ranges", "pyinit/ctl/compile_ahead.py", "pyinit", "--sourceless"]
        for command in (install, in_place_of_sources):
            subprocess.run(command, cwd=library, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else ""
        raise Unavailable(f"cannot install the launcher of pyinit: {said or error}") from error
    return Contender(PYINIT, (str(launcher), "--"))
