"""Programs in C, for tests and measurements: they do what no other language leaves alone, and start at once."""

import os
import subprocess
from functools import cache
from pathlib import Path

from testing import packages


def compile_c(source: str, target: Path, *options: str) -> Path:
    """Compile a program, statically: so it runs in any container, and the dynamic loader takes longer than tini does.

    Raises:
        RuntimeError: it cannot be compiled; the text is what the compiler says.
    """
    command = [path(), "-O2", "-static", "-pthread", "-Wall", "-Wextra", "-Werror", *options, "-x", "c", "-"]
    done = subprocess.run([*command, "-o", str(target)], input=source, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return target


def compile_all(sources: Path, folder: Path) -> None:
    """Compile each program of a folder into another."""
    for source in sources.glob("*.c"):
        compile_c(source.read_text(), folder / source.stem)


@cache
def path() -> str:
    """The path of gcc, which has a static C library."""
    gcc = packages.provide("gcc", "gcc")
    asked = subprocess.run([gcc, "-print-file-name=libc.a"], capture_output=True, text=True, check=True)
    if not os.path.isabs(asked.stdout.strip()):  # it repeats the bare name of a file that it does not find
        packages.install("libc6-dev")
    return gcc
