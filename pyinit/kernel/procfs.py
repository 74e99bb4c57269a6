"""Processes as /proc shows them (proc(5)).

A process can exit before or while it is read: a missing answer is None or empty, never an error.
Of another process only ``stat`` and ``status`` are read: ``cmdline`` takes the memory lock of that process, and can
hang together with it.
"""

import errno
import posix
import time

from . import reserves, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


_ROUNDS = 3
"""How often to list all processes until the parent of each is in the list."""


class Process:
    """One line of ``/proc/PID/stat``."""

    __slots__ = ("group", "name", "parent", "pid", "processor", "session", "started", "state", "threads")

    def __init__(self, line: bytes) -> None:
        """Parse the line.

        The name is in parentheses and may contain any byte, parentheses included. After the last parenthesis come
        plain numbers.

        Raises:
            ValueError: the line does not have that form.
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
        self.processor = int(rest[36]) if len(rest) > 36 else 0  # the last one that it ran on

    @property
    def is_dead(self) -> bool:
        """Whether it is a zombie. (Its state is Z also while only its main thread has ended.)"""
        return self.state in "ZX" and self.threads <= 1

    @property
    def is_stopped(self) -> bool:
        """Whether a signal or a tracer has stopped it."""
        return self.state in "Tt"

    def age(self) -> float:
        """Seconds since it was forked."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.started / posix.sysconf("SC_CLK_TCK")

    @property
    def identity(self) -> "tuple[int, int]":
        """Pid and start time: unique, while a pid is used again."""
        return self.pid, self.started


def read(path: str) -> "bytes | None":
    """The content of a file that the kernel generates; None if it cannot be read."""
    return _read(path, is_record=False)


def record(path: str) -> "bytes | None":
    """The content of a file that is one record, by a single read: all of ``stat``, and of ``status`` what precedes the
    list of groups, which can be very long. None if it cannot be read."""
    return _read(path, is_record=True)


def _read(path: str, is_record: bool) -> "bytes | None":
    text = b""
    try:
        fd = reserves.open_file(path, posix.O_RDONLY)
    except OSError:
        return None
    try:
        while part := posix.read(fd, 8192):
            text += part
            if is_record:
                break
    except OSError:  # not reached: ESRCH, it has to be reaped between the two calls
        return None
    finally:
        posix.close(fd)
    return text


def is_ours() -> bool:
    """Whether /proc is mounted and belongs to our own PID namespace, so that its pids are the ones that we know."""
    try:
        return posix.readlink("/proc/self") == str(posix.getpid())
    except OSError:
        return False


def process(pid: int) -> "Process | None":
    """The process as it is now; None if it does not exist or is hidden."""
    line = record(f"/proc/{pid}/stat")
    try:
        return Process(line) if line else None
    except ValueError:
        return None


def name_of(pid: int) -> "str | None":
    """The name (``comm``) of a process, also of a zombie; None if it does not exist or is hidden."""
    found = process(pid) if is_ours() else None
    return found.name if found else None


def processes() -> "Iterable[Process]":
    """Every visible process, in no particular order."""
    try:
        entries = reserves.list_folder("/proc") if is_ours() else []
    except OSError:  # not reached: no descriptor or no memory is left
        entries = []
    for entry in entries:
        if entry.isdigit():
            found = process(int(entry))
            if found:
                yield found


def children() -> "list[int]":
    """The pids of our own children, zombies included. None of these pids is used again before we wait for it."""
    listed = read("/proc/thread-self/children")
    if listed is None:  # a kernel without CONFIG_PROC_CHILDREN
        # not reached: takes a kernel without CONFIG_PROC_CHILDREN
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
            # A process is never older than its parent or the subreaper that it was re-parented to. If it seems to be,
            # the parent has exited, and another process has its pid.
            if one.started >= born.get(one.parent, 0):
                by_parent.setdefault(one.parent, []).append(one)
        family = list(by_parent.get(root, ()))
        for member in family:  # grows during the loop
            family.extend(by_parent.get(member.pid, ()))
        # A missing parent exited while we listed, and its children have been re-parented since.
        if all(one.parent == 0 or one.parent in born for one in found):
            break
    return family


def field(status: bytes, name: bytes) -> bytes:
    """The value in one line of ``/proc/PID/status``; empty if the line is missing or cut off. (The file escapes a
    newline in the name of the process.)"""
    value, newline, _ = status.partition(b"\n" + name + b":\t")[2].partition(b"\n")
    return value if newline else b""


def pids(pid: int) -> "list[int]":
    """The pids of a process in each PID namespace that it is in, from ours inwards; empty if unknown."""
    try:
        return [int(one) for one in field(read(f"/proc/{pid}/status") or b"", b"NSpid").split()]
    except ValueError:
        return []


def is_pid_1(pid: int) -> bool:
    """Whether a process is PID 1 of its PID namespace, which may be nested in ours."""
    return pid == 1 or pids(pid)[-1:] == [1]


def handles(pid: int, number: int) -> bool:
    """Whether a process catches or ignores a signal."""
    caught, ignored, _ = _masks(pid)
    return bool((caught | ignored) >> (number - 1) & 1)


def acts_on(pid: int, number: int) -> bool:
    """Whether a process catches a signal and does not block it."""
    caught, _, blocked = _masks(pid)
    return bool((caught & ~blocked) >> (number - 1) & 1)


def ignores(pid: int, number: int) -> bool:
    """Whether a process ignores a signal."""
    _, ignored, _ = _masks(pid)
    return bool(ignored >> (number - 1) & 1)


def seems_in_system(pid: int) -> bool:
    """Whether a process ignores and blocks what system(3) has it ignore and block, and is not a shell, which would
    catch SIGCHLD."""
    caught, ignored, blocked = _masks(pid)
    child = 1 << (signals.CHLD - 1)
    both = 1 << (signals.INT - 1) | 1 << (signals.QUIT - 1)
    return ignored & both == both and blocked == child and not caught & child


def _masks(pid: int) -> "list[int]":
    """The signals that a process catches, ignores and blocks: ``SigCgt``, ``SigIgn`` and ``SigBlk`` of
    ``/proc/PID/status``."""
    status = read(f"/proc/{pid}/status") or b""
    try:
        return [int(field(status, name) or b"0", 16) for name in (b"SigCgt", b"SigIgn", b"SigBlk")]
    except ValueError:  # not reached: the kernel writes hexadecimal numbers
        return [0, 0, 0]


def let_hear(target: "Process | None", number: int) -> None:
    """Let a process continue that was stopped when it was sent a stop signal, which it could not act on."""
    if target is not None and target.state == "T" and number in signals.STOP_SIGNALS:
        try:
            send(target, signals.CONT)
        except OSError:  # not reached: it ended since it was looked up
            pass


def is_there(identity: "tuple[int, int]") -> bool:
    """Whether the process with this identity still exists (another one may have its pid)."""
    found = process(identity[0])
    return found is not None and found.identity == identity


def send(target: Process, number: int) -> None:
    """Send a signal to exactly this process, never to another one that has its pid now.

    For a child of our own kill(2) does that at less cost: its pid is not used again before we wait for it.

    Raises:
        OSError: it has exited (ESRCH), or we may not signal it (EPERM).
    """
    handle = None
    try:
        handle = posix.pidfd_open(target.pid)  # keeps referring to the process that has the pid now
    except AttributeError:  # the interpreter was compiled without the headers of Linux 5.3
        pass
    except OSError as error:
        if error.errno == errno.ESRCH:
            raise
    try:
        now = process(target.pid)
        if now is None and handle is not None:  # it has exited, or the pidfd was the last descriptor
            posix.close(handle)
            handle = None
            now = process(target.pid)
        if now is None or now.started != target.started:
            raise ProcessLookupError(errno.ESRCH, posix.strerror(errno.ESRCH))
        if handle is None:  # before Linux 5.3, in a sandbox, or without a free descriptor
            posix.kill(target.pid, number)
            return
        try:
            signals.send_by_handle(handle, number)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM):  # a sandbox may allow only the first of the two calls
                raise  # not reached: it ended since it was looked up
            posix.kill(target.pid, number)
    finally:
        if handle is not None:
            posix.close(handle)
