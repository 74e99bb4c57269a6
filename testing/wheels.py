"""Builds the distribution with the tools of the set-up: nothing is downloaded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from testing import ROOT, compiler

SOURCES = (
    "pyinit",
    "scripts",
    "share",
    "launcher.c",
    "setup.py",
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
)
"""The files that a wheel is built from."""


def copy_sources(target: Path) -> Path:
    """Make a folder with the files that a wheel is built from, without leftovers of earlier builds."""
    target.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            # The last are those that another process is writing at this moment.
            ignored = shutil.ignore_patterns("__pycache__", "compiled.*.zip", ".compiled.*")
            shutil.copytree(ROOT / name, target / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, target)
    return target


def build(kind: str, tree: Path, target: Path, cc: str | None = None) -> Path:
    """Build the distribution in a folder, as a ``wheel`` or an ``sdist``, and return its path in `target`.

    `cc` is the C compiler; ``false`` makes a wheel for any Python.
    """
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(target), str(tree)]
    environment = {**os.environ, "CC": cc or compiler.path()}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [built] = target.iterdir()
    return built
