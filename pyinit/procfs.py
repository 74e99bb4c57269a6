"""Processes as /proc shows them (proc(5)).

Everything here may be gone by the time it is looked at: an answer that is not there is None, never an error.
Nothing is read but ``stat``: ``cmdline`` takes the memory lock of the process and can hang with it.
"""

import errno
import posix

from . import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Process:
    """One line of ``/proc/PID/stat``."""

    __slots__ = ("name", "parent", "pid", "started")

    def __init__(self, line: bytes) -> None:
        """Take the line apart.

        The name is in parentheses and may hold any byte, parentheses among them; what follows the last one is
        plain numbers.

        Raises:
            ValueError: this is no such line.
        """
        opening, closing = line.index(b"("), line.rindex(b")")
        rest = line[closing + 2 :].split()
        if len(rest) < 20:
            raise ValueError("too short for a line of /proc/PID/stat")
        self.pid = int(line[:opening])
        self.name = line[opening + 1 : closing].decode("utf-8", "surrogateescape")
        self.parent = int(rest[1])
        self.started = int(rest[19])  # clock ticks after boot; with the pid it identifies a process for good


def read(path: str) -> "bytes | None":
    """The first 4 KiB of a file of /proc, None where it cannot be read."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        return posix.read(fd, 4096)
    except OSError:  # ESRCH: it ended between the two calls
        return None
    finally:
        posix.close(fd)


def is_ours() -> bool:
    """Whether /proc is mounted and shows our own PID namespace, so that its numbers are the ones that we know."""
    try:
        return posix.readlink("/proc/self") == str(posix.getpid())
    except OSError:
        return False


def process(pid: int) -> "Process | None":
    """The process as it is now; None where there is none or it may not be seen."""
    line = read(f"/proc/{pid}/stat")
    try:
        return Process(line) if line else None
    except ValueError:
        return None


def name_of(pid: int) -> "str | None":
    """The name (``comm``) of a process, a zombie's too; None if it is gone or cannot be seen."""
    found = process(pid) if is_ours() else None
    return found.name if found else None


def processes() -> "Iterable[Process]":
    """Every process that can be seen now, in no order."""
    try:
        entries = posix.listdir("/proc") if is_ours() else []
    except OSError:
        entries = []
    for entry in entries:
        if entry.isdigit():
            found = process(int(entry))
            if found:
                yield found


def descendants(root: int) -> "list[Process]":
    """The children of `root`, their children and so on, parents first."""
    children: "dict[int, list[Process]]" = {}
    for found in processes():
        children.setdefault(found.parent, []).append(found)
    family = list(children.pop(root, ()))
    for member in family:  # grows while it is walked
        family.extend(children.pop(member.pid, ()))
    return family


def send(target: Process, number: int) -> None:
    """Send a signal to the very process that was seen, and not to one that has got its number since.

    Raises:
        OSError: it has gone (ESRCH), or it is not ours to signal (EPERM).
    """
    try:
        handle = posix.pidfd_open(target.pid)
    except OSError as error:
        if error.errno == errno.ESRCH:
            raise
        posix.kill(target.pid, number)  # before Linux 5.3, in a sandbox, or out of descriptors
        return
    try:
        now = process(target.pid)  # the handle pins the number: whoever has it now is the one it stands for
        if now is None or now.started != target.started:
            raise ProcessLookupError(errno.ESRCH, posix.strerror(errno.ESRCH))
        signals.send_by_handle(handle, number)
    finally:
        posix.close(handle)
