"""The C programs that pyinit runs here: small and fast, so that there is a lot of what they do."""

import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent


def build(folder: Path) -> None:
    """Compile every program into `folder`."""
    for source in SOURCES.glob("*.c"):
        target = folder / source.stem
        subprocess.run(["gcc", "-O2", "-pthread", "-Wall", "-Wextra", "-Werror", "-o", target, source], check=True)
