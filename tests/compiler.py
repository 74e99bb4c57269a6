"""Programs in C for the tests: they do what no other language leaves alone."""

import subprocess
from pathlib import Path

from tools import debian


def compile_c(source: str, target: Path, *options: str) -> Path:
    """Compile a program, statically, so that it runs in any container."""
    gcc = debian.provide("gcc", "gcc", "libc6-dev")
    command = [gcc, "-O1", "-static", "-Wall", "-Wextra", "-Werror", *options, "-x", "c", "-", "-o", str(target)]
    done = subprocess.run(command, input=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target
