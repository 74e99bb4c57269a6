"""What a command cannot see of what it should report: all of it, or a part."""

import os
import sys

from pyinit.kernel import procfs


class CannotLook(Exception):
    """The text says in one line what cannot be seen, and why."""


STATUS = 3
"""The exit status of a command that failed with `CannotLook`."""


def warn(text: str) -> None:
    """Say on standard error what is not visible. If it cannot be written, what is visible is reported all the same."""
    try:
        print(f"pyinitctl: {text}", file=sys.stderr)
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - at the end, Python would try again and exit with 120


def check_proc() -> None:
    """Check that /proc shows our own PID namespace.

    Raises:
        CannotLook: it does not.
    """
    if not procfs.is_ours():
        raise CannotLook("/proc is not mounted, or is that of another PID namespace")
