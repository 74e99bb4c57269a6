"""The C programs that pyinit runs here: small and fast, so that there is a lot of what they do."""

from pathlib import Path

from tools.compiler import compile_all

SOURCES = Path(__file__).parent


def build(folder: Path) -> None:
    """Compile every program into `folder`."""
    compile_all(SOURCES, folder)
