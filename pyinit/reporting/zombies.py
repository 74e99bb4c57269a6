"""Zombies, and the process that should wait for them. Used by pyinitctl and by ``--zombie-watch``.

A process that has exited stays a zombie until its parent waits for it (wait(2), NOTES). An init cannot do that for the
parent: it inherits the zombies only when the parent exits. A tracer comes first: until it has waited, the parent cannot
(ptrace(2)).
"""

from ..kernel import procfs, reserves
from . import humanize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..kernel.procfs import Process

_ROUNDS = 3
"""How often to look up the parent of a zombie until that parent is found."""


OUTSIDE = "a process outside of this PID namespace"


class Neglect:
    """The zombies that one process has not waited for."""

    __slots__ = ("is_traced", "pid", "waiter", "zombies")

    def __init__(self, pid: int, is_traced: bool) -> None:
        self.pid = pid
        """The process that should wait for them; 0 if it is outside of our PID namespace."""
        self.is_traced = is_traced
        """Whether that process is their tracer, and not their parent."""
        self.waiter = procfs.process(pid) if pid else None
        """That process; None if it is not visible."""
        self.zombies: "list[Process]" = []


def search() -> "Iterator[Process | None]":
    """Look at every process in turn: yield it if /proc, which is ours, shows it as a zombie; otherwise None."""
    try:
        for name in _entries():
            yield _shown(name) if name.isdigit() else None
    except OSError:
        pass


def _entries() -> "Iterator[str]":
    with reserves.scan_folder("/proc") as entries:  # listing thousands at once would hold PID 1 up
        if procfs.record("/proc/self/stat"):  # there is a second descriptor to read each process with
            for entry in entries:
                yield entry.name
            return
    yield from reserves.list_folder("/proc")


def _shown(pid: str) -> "Process | None":
    """The process if /proc shows it as a zombie."""
    line = procfs.record(f"/proc/{pid}/stat")
    if not line or b") Z " not in line:  # a quick test that spares most lines the parser; a name may contain this, too
        return None
    try:
        found = procfs.Process(line)
    except ValueError:  # not reached: the kernel writes whole lines
        return None
    return found if found.state == "Z" else None


def add(neglects: "dict[tuple[int, bool], Neglect]", zombie: "Process") -> "Neglect | None":
    """Look at a zombie again and add it to the neglect of the process that should wait; None if it has been reaped."""
    for _ in range(_ROUNDS):
        key = _waiter_of(zombie.pid)
        if key is None:
            return None
        neglect = neglects.get(key) or Neglect(*key)
        if neglect.waiter or not neglect.pid:
            break  # otherwise the parent may have exited just now, and the zombie has another one
    neglects[neglect.pid, neglect.is_traced] = neglect
    neglect.zombies.append(zombie)
    return neglect


def _waiter_of(pid: int) -> "tuple[int, bool] | None":
    """The pid of the process that should wait for a zombie, and whether it is a tracer other than the parent; None if
    it is not a zombie now."""
    field = procfs.field
    status = procfs.record(f"/proc/{pid}/status") or b""
    try:
        parent, tracer = int(field(status, b"PPid")), int(field(status, b"TracerPid"))
        if tracer:  # the id of a thread, whose process we want
            tracer = int(field(procfs.record(f"/proc/{tracer}/status") or b"", b"Tgid") or tracer)
    except ValueError:
        return None
    return (tracer or parent, tracer not in (0, parent)) if field(status, b"State")[:1] == b"Z" else None


def verdict(neglect: Neglect, name: str, age: str) -> str:
    """One sentence: which process has not waited for these zombies, and what to do.

    `name` is the name of that process, `age` how long the oldest has been a zombie.
    """
    count = len(neglect.zombies)
    waiter = f"{name} (pid {neglect.pid})" if neglect.pid else OUTSIDE
    since = f"for {age}" if count == 1 else f"the oldest for {age}"
    if neglect.is_traced:
        traced = humanize.count(count, "zombie")
        return (
            f"{waiter} traces {traced} that it has not waited for, {since}: "
            "a parent can wait only after the tracer, so end the tracing"
        )
    children = humanize.count(count, "child", "children")
    return f"{waiter} has {children} that it has not waited for, {since}: {_advice(neglect)}"


def _advice(neglect: Neglect) -> str:
    if neglect.pid == 0:
        return "the container engine started it (docker exec) and has to wait for it"
    if neglect.waiter and neglect.waiter.is_stopped:
        return "it is stopped and cannot wait until it is continued (SIGCONT)"
    if procfs.is_pid_1(neglect.pid):
        where = "" if neglect.pid == 1 else " of its container"
        return (
            f"it is PID 1{where} and should wait for its own children; "
            "to have orphans reaped, run it under an init such as pyinit"
        )
    return "it should call wait() or join(), or handle SIGCHLD"
