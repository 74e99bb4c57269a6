"""Processes as /proc shows them (proc(5)).

Everything here may be gone by the time it is looked at: an answer that is not there is None, never an error.
Of others nothing is read but ``stat`` and ``status``: ``cmdline`` takes the memory lock of the process and can hang
with it.
"""

import errno
import posix

from . import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


_ROUNDS = 3
"""How often to look at all processes for a picture in which nobody's parent is missing."""


class Process:
    """One line of ``/proc/PID/stat``."""

    __slots__ = ("group", "name", "parent", "pid", "processor", "session", "started", "state", "threads")

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
        self.state = rest[0].decode("ascii", "replace")
        self.parent = int(rest[1])
        self.group = int(rest[2])
        self.session = int(rest[3])
        self.threads = int(rest[17])
        self.started = int(rest[19])  # clock ticks after boot
        self.processor = int(rest[36]) if len(rest) > 36 else 0  # the one that it ran on last

    @property
    def is_dead(self) -> bool:
        """Whether it is a zombie. (Where threads live on after their main thread, that one is shown as one, too.)"""
        return self.state in "ZX" and self.threads <= 1

    @property
    def identity(self) -> "tuple[int, int]":
        """What is this process's own for good: a pid is given again."""
        return self.pid, self.started


def read(path: str) -> "bytes | None":
    """What a file that the kernel makes up says; None where it cannot be read."""
    return _read(path, is_record=False)


def record(path: str) -> "bytes | None":
    """The same for a file that is one record, and comes whole with the first call: ``stat``, and of ``status`` what
    is before the line of the groups, of which there can be very many."""
    return _read(path, is_record=True)


def _read(path: str, is_record: bool) -> "bytes | None":
    text = b""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        while part := posix.read(fd, 8192):
            text += part
            if is_record:
                break
    except OSError:  # ESRCH: it ended between the two calls
        return None
    finally:
        posix.close(fd)
    return text


def is_ours() -> bool:
    """Whether /proc is mounted and shows our own PID namespace, so that its numbers are the ones that we know."""
    try:
        return posix.readlink("/proc/self") == str(posix.getpid())
    except OSError:
        return False


def process(pid: int) -> "Process | None":
    """The process as it is now; None where there is none or it may not be seen."""
    line = record(f"/proc/{pid}/stat")
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


def children() -> "list[int]":
    """The pids of our own children, zombies too. None of them is given again before we have waited for it."""
    listed = read("/proc/thread-self/children")
    if listed is None:  # a kernel without CONFIG_PROC_CHILDREN
        return [found.pid for found in processes() if found.parent == posix.getpid()]
    return [int(pid) for pid in listed.split()]


def descendants(root: int) -> "list[Process]":
    """The children of `root`, their children and so on, parents first."""
    family: "list[Process]" = []
    for _ in range(_ROUNDS):
        found = list(processes())
        born = {one.pid: one.started for one in found}
        by_parent: "dict[int, list[Process]]" = {}
        for one in found:
            # Nobody is older than its parent, or than the subreaper that it was re-parented to: that is another
            # process, which has got the number since.
            if one.started >= born.get(one.parent, 0):
                by_parent.setdefault(one.parent, []).append(one)
        family = list(by_parent.get(root, ()))
        for member in family:  # grows while it is walked
            family.extend(by_parent.get(member.pid, ()))
        # Where a parent is missing, it has ended while we looked, and its children have another one by now.
        if all(one.parent == 0 or one.parent in born for one in found):
            break
    return family


def field(status: bytes, name: bytes) -> bytes:
    """What a line of ``/proc/PID/status`` says; nothing if it is not there, or not all of it. (A newline in the name of
    the process is an escape there.)"""
    value, newline, _ = status.partition(b"\n" + name + b":\t")[2].partition(b"\n")
    return value if newline else b""


def pids(pid: int) -> "list[int]":
    """The pids that a process has in the PID namespaces that it is in, from ours inwards; none if that is not told."""
    try:
        return [int(one) for one in field(read(f"/proc/{pid}/status") or b"", b"NSpid").split()]
    except ValueError:
        return []


def is_there(identity: "tuple[int, int]") -> bool:
    """Whether the process that was seen is there still, and not another with its number."""
    found = process(identity[0])
    return found is not None and found.identity == identity


def send(target: Process, number: int) -> None:
    """Send a signal to the very process that was seen, and not to one that has got its number since.

    Raises:
        OSError: it has gone (ESRCH), or it is not ours to signal (EPERM).
    """
    handle = None
    try:
        handle = posix.pidfd_open(target.pid)  # it stands for whoever has the number now, for good
    except OSError as error:
        if error.errno == errno.ESRCH:
            raise
    try:
        now = process(target.pid)
        if now is None and handle is not None:  # it has gone, or that was the last descriptor
            posix.close(handle)
            handle = None
            now = process(target.pid)
        if now is None or now.started != target.started:
            raise ProcessLookupError(errno.ESRCH, posix.strerror(errno.ESRCH))
        if handle is None:  # before Linux 5.3, in a sandbox, or out of descriptors
            posix.kill(target.pid, number)
            return
        try:
            signals.send_by_handle(handle, number)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM):  # a sandbox may have the one call and refuse the other
                raise
            posix.kill(target.pid, number)
    finally:
        if handle is not None:
            posix.close(handle)
