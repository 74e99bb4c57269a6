"""The C programs that measure, and those that are measured on: small, so that they do not drown the figures."""

import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent


def build(folder: Path) -> None:
    """Compile every probe into `folder`, statically: the dynamic loader takes longer than tini does."""
    for source in SOURCES.glob("*.c"):
        target = folder / source.stem
        subprocess.run(["gcc", "-O2", "-static", "-Wall", "-Wextra", "-Werror", "-o", target, source], check=True)
