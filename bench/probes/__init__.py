"""The C programs that measure, and those that are measured on: small, so that they do not drown the figures."""

from pathlib import Path

from tools.compiler import compile_all


def build(folder: Path) -> None:
    """Compile every probe into `folder`."""
    compile_all(Path(__file__).parent, folder)
