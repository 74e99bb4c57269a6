"""What the Makefile does before it runs a command: each module is one step of the set-up."""

import sys


def say(line: str) -> None:
    """Tell the person at the terminal what takes time now."""
    print(f"set-up: {line}", file=sys.stderr, flush=True)
