"""Compiles programs in C for tests and measurements: they start at once, and no runtime interferes with them."""

import os
import subprocess
from functools import cache
from pathlib import Path

from testing import one_at_a_time, packages


def compile_c(source: str, target: Path, *options: str) -> Path:
    """Compile a program statically: it runs in any container, and a dynamic loader takes longer than all of tini.

    Raises:
        RuntimeError: it cannot be compiled; the text is the compiler's.
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
    if not has_static_library(gcc):
        with one_at_a_time("packages"):
            if not has_static_library(gcc):  # another process may have installed it meanwhile
                packages.install("libc6-dev")
    return gcc


def has_static_library(gcc: str) -> bool:
    """Does this gcc find a static C library?"""
    asked = subprocess.run([gcc, "-print-file-name=libc.a"], capture_output=True, text=True, check=True)
    return os.path.isabs(asked.stdout.strip())  # gcc repeats the bare name of a file that it does not find
