"""Why a workload could not be started."""

import errno
import posix


class CannotExecute(Exception):
    """The workload could not be executed."""

    def __init__(self, program: str, code: int, is_there: bool) -> None:
        """`is_there`: there is a file of that name, in PATH or where `program` says."""
        self.program = program
        self.errno = code
        """The reason, as execve(2) gave it."""
        self._is_there = is_there

    def __str__(self) -> str:
        if self.errno != errno.ENOENT:
            return f"cannot execute '{self.program}': {posix.strerror(self.errno)}"
        if self._is_there:
            return f"cannot execute '{self.program}': the interpreter that it asks for does not exist"
        return f"cannot find '{self.program}'" + ("" if "/" in self.program else " in PATH")


class CannotBecomeUser(Exception):
    """The workload could not be run as the user that was asked for."""
