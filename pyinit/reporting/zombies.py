"""Zombies: who is to wait for them, in words, too. Loaded by pyinitctl, and with ``--zombie-watch``.

A process that has ended stays as a zombie until its parent has waited for it (wait(2), NOTES). An init cannot do that
in the parent's place, only inherit them when the parent has gone. Where a tracer is attached it comes first: before it
has waited, the parent cannot (ptrace(2)).
"""

import posix

from ..kernel import procfs
from . import humanize as words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..kernel.procfs import Process

_ROUNDS = 3
"""How often to ask who the parent is, if that one cannot be found."""


OUTSIDE = "a process outside of this PID namespace"


class Neglect:
    """Zombies that one process has not waited for."""

    __slots__ = ("is_traced", "pid", "waiter", "zombies")

    def __init__(self, pid: int, is_traced: bool) -> None:
        self.pid = pid
        """Of who is to wait for them: 0 for a process outside of our PID namespace."""
        self.is_traced = is_traced
        """Whether it is their tracer, and not (just) their parent."""
        self.waiter = procfs.process(pid) if pid else None
        """Who that is; None if it cannot be seen."""
        self.zombies: "list[Process]" = []


def search() -> "Iterator[Process | None]":
    """Look at one process after the other: those that /proc shows as zombies, and None in place of each other."""
    if not procfs.is_ours():
        return
    try:
        for name in _entries():
            yield _shown(name) if name.isdigit() else None
    except OSError:
        pass


def _entries() -> "Iterator[str]":
    with posix.scandir("/proc") as entries:  # a list of all would take its time at once
        if procfs.record("/proc/self/stat"):  # with a second descriptor
            for entry in entries:
                yield entry.name
            return
    yield from posix.listdir("/proc")


def _shown(pid: str) -> "Process | None":
    """The process if it is shown as a zombie."""
    line = procfs.record(f"/proc/{pid}/stat")
    if not line or b") Z " not in line:  # a name can hold that, too; but most lines need not be taken apart
        return None
    try:
        found = procfs.Process(line)
    except ValueError:
        return None
    return found if found.state == "Z" else None


def add(neglects: "dict[tuple[int, bool], Neglect]", zombie: "Process") -> "Neglect | None":
    """Look at a zombie again, and put it to those that the same process is to wait for; None if it has gone."""
    for _ in range(_ROUNDS):
        key = _who_waits(zombie.pid)
        if key is None:
            return None
        neglect = neglects.get(key) or Neglect(*key)
        if neglect.waiter or not neglect.pid:
            break  # or else it may have ended just now, and the zombie be another's
    neglects[neglect.pid, neglect.is_traced] = neglect
    neglect.zombies.append(zombie)
    return neglect


def _who_waits(pid: int) -> "tuple[int, bool] | None":
    """The pid of who is to wait for a zombie, and whether that is a tracer and not its parent; None if it has gone."""
    field = procfs.field
    status = procfs.record(f"/proc/{pid}/status") or b""
    try:
        parent, tracer = int(field(status, b"PPid")), int(field(status, b"TracerPid"))
        if tracer:  # it is a thread; of which process?
            tracer = int(field(procfs.record(f"/proc/{tracer}/status") or b"", b"Tgid") or tracer)
    except ValueError:
        return None
    return (tracer or parent, tracer not in (0, parent)) if field(status, b"State")[:1] == b"Z" else None


def verdict(neglect: Neglect, name: str, age: str) -> str:
    """What is the matter with these zombies, and what to do, in a sentence.

    `name` is what the one who is to wait for them is called, `age` for how long the oldest has been a zombie.
    """
    count = len(neglect.zombies)
    who = f"{name} (pid {neglect.pid})" if neglect.pid else OUTSIDE
    since = f"for {age}" if count == 1 else f"the oldest for {age}"
    if neglect.is_traced:
        processes = words.count(count, "process", "processes")
        return (
            f"{who} traces {processes} that ended and that it has not waited for, {since}: "
            f"no parent can before it has, so end the tracing"
        )
    children = words.count(count, "child", "children")
    return f"{who} has {children} that it has not waited for, {since}: {_advice(neglect)}"


def _advice(neglect: Neglect) -> str:
    if neglect.pid == 0:
        return "the container engine has started it (docker exec), and is to wait for it"
    if neglect.waiter and neglect.waiter.state in "Tt":
        return "it is stopped, and can wait when it has been continued (SIGCONT)"
    if neglect.pid == 1 or procfs.pids(neglect.pid)[-1:] == [1]:
        where = "" if neglect.pid == 1 else " of its container"
        return (
            f"it is PID 1{where}, and should wait for those that it starts, and for the orphans that it is given: "
            "for these run it under an init, such as pyinit"
        )
    return "it should call wait() or join(), or handle SIGCHLD"
