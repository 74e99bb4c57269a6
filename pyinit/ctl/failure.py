"""The failure of a command that cannot see what it should report."""

from pyinit.kernel import procfs


class CannotLook(Exception):
    """The text says in one line what cannot be seen, and why."""


STATUS = 3
"""The exit status of a command that failed with `CannotLook`."""


def check_proc() -> None:
    """Check that /proc shows our own PID namespace.

    Raises:
        CannotLook: it does not.
    """
    if not procfs.is_ours():
        raise CannotLook("/proc is not mounted, or is that of another PID namespace")
