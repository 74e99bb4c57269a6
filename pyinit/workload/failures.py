"""Why a workload could not be started."""

import posix


class CannotExecute(Exception):
    """The workload could not be executed."""

    def __init__(self, program: str, code: int, reason: str) -> None:
        """`reason` is a sentence (`explain`), or empty."""
        super().__init__(reason or f"cannot execute '{program}': {posix.strerror(code)}")
        self.program = program
        self.errno = code
        """The reason, as execve(2) gave it."""


class CannotBecomeUser(Exception):
    """The workload could not be run as the user that was asked for."""
