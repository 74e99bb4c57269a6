"""Code that tests, bench and soak share, and the steps of set-up that the Makefile runs first.

This module is loaded before anything is installed: it uses the standard library only.
"""

import fcntl
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


class Unavailable(SystemExit):
    """Something that is needed is not available. Uncaught, it ends the program with its one line."""

    def __init__(self, line: str) -> None:
        super().__init__(f"set-up: {line}")


def say(line: str) -> None:
    """Tell the person at the terminal what is about to take time."""
    print(f"set-up: {line}", file=sys.stderr, flush=True)


@contextmanager
def one_at_a_time(what: str) -> Iterator[None]:
    """Hold a lock that all processes of the machine share, such as tests that run side by side."""
    with Path(tempfile.gettempdir(), f"pyinit-{what}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released with the file
        yield
