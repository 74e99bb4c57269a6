"""The inits that are measured, installed on this machine."""

import os
import shutil
import subprocess
from pathlib import Path

import setuptools

from bench.contenders import BY_PIP, PACKAGE, PYINIT, SUPERVISORD, Contender
from bench.supervisors import S6, Supervisord
from testing import Unavailable, compiler, packages
from testing.wheels import copy_sources

PACKAGES = {
    "tini": "tini",
    "dumb-init": "dumb-init",
    "catatonit": "catatonit",
    "docker-init": "docker.io",
    "s6-svscan": "s6",
    SUPERVISORD: "supervisor",
}
"""The Debian package of each peer."""


def find_peers(folder: Path) -> list[Contender]:
    """The peers, installed if they are missing. Those that need files write them under `folder`.

    Raises Unavailable.
    """
    simple = [Contender(tool, (_path(tool), "--")) for tool in ("tini", "dumb-init", "catatonit", "docker-init")]
    return [
        *simple,
        S6("s6", (_path("s6-svscan"),), folder),
        Supervisord(SUPERVISORD, (_path(SUPERVISORD),), folder),
    ]


def _path(tool: str) -> str:
    return packages.provide(tool, PACKAGES[tool])


def install_pyinit(folder: Path, python: str) -> Contender:
    """Install a copy of pyinit and its launcher for the interpreter `python` under `folder`, as the Dockerfile does.

    It is a copy so that the bytecode belongs to this interpreter, and edits to the sources do not reach it.
    Raises Unavailable.
    """
    library, launcher = folder / "lib", folder / "bin" / PYINIT
    launcher.parent.mkdir()
    try:
        shutil.copytree(PACKAGE, library / PYINIT, ignore=shutil.ignore_patterns("__pycache__"))
        install: list[str | Path] = [python, "-m", "pyinit.ctl", "install", launcher.parent]
        subprocess.run(install, cwd=library, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else ""
        raise Unavailable(f"cannot install the launcher of pyinit: {said or error}") from error
    return Contender(PYINIT, (str(launcher), "--"))


def install_wheel(folder: Path, python: str) -> Contender:
    """Have pip build the wheel for `python` and install it into a virtual environment of that, under `folder`.

    pip and setuptools are those of the set-up: nothing is fetched. Raises Unavailable.
    """
    environment = folder / "environment"
    tools = {**os.environ, "PYTHONPATH": str(Path(setuptools.__file__).parents[1]), "CC": compiler.path()}
    install: list[str | Path] = [environment / "bin" / "python", "-m", "pip", "install", "--no-build-isolation"]
    try:
        subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True, capture_output=True, text=True)
        tree = copy_sources(folder / "sources")
        subprocess.run([*install, "--no-index", tree], env=tools, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else ""
        raise Unavailable(f"cannot install pyinit with pip: {said or error}") from error
    return Contender(BY_PIP, (str(environment / "bin" / PYINIT), "--"))
