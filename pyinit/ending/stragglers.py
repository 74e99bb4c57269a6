"""The processes that are left to pyinit: found, named, and signalled.

PID 1 has a call that signals all: ``kill(-1)`` reaches every process of the PID namespace but the caller, in one step
that no fork can slip through (kill(2)), those of ``docker exec`` included. Any other process has strangers beside it,
and walks its own descendants.
"""

import errno
import posix

from ..kernel import procfs, reserves, signals
from ..reporting import humanize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..account import Account
    from ..kernel.procfs import Process
    from ..reporting.log import Log


_MOST_READ = 50
"""How many of our children are looked at to find out whether they can be: there may be thousands."""


class Tree:
    """The living processes that we may signal, as they are at one moment."""

    __slots__ = ("_by_parent", "heads", "outsiders")

    def __init__(self) -> None:
        me = posix.getpid()
        self._by_parent: "dict[int, list[Process]]" = {}
        for one in procfs.processes() if me == 1 else procfs.descendants(me):
            if not one.is_dead:
                self._by_parent.setdefault(one.parent, []).append(one)
        self.heads = self._by_parent.get(me, [])
        """Our children."""
        self.outsiders = [one for one in self._by_parent.get(0, ()) if one.pid != me]
        """Processes that ``docker exec`` brought in. Their parents are outside of our PID namespace."""

    def children(self, parent: "Process") -> "list[Process]":
        """The children of a process. (One that is older had another parent, which had the same pid.)"""
        return [one for one in self._by_parent.get(parent.pid, ()) if one.started >= parent.started]

    def everyone(self) -> "list[Process]":
        """All of them, parents first."""
        return self.below([*self.heads, *self.outsiders])

    def below(self, members: "Iterable[Process]") -> "list[Process]":
        """The processes and their descendants, parents first."""
        found = [*members]
        for member in found:  # grows during the loop
            found += self.children(member)
        return found


def can_be_reached() -> bool:
    """Whether we can signal them: as PID 1 always, otherwise we have to see them."""
    return posix.getpid() == 1 or can_be_seen()


def can_be_seen() -> bool:
    """Whether /proc can be read, and is that of our PID namespace."""
    return procfs.name_of(posix.getpid()) is not None


def are_all_seen() -> bool:
    """Whether /proc hides none of our children (``hidepid``, proc(5))."""
    if not can_be_seen():
        return False
    ours = procfs.children()
    listed = set(reserves.list_folder("/proc"))
    return all(str(pid) in listed for pid in ours) and all(procfs.process(pid) for pid in ours[:_MOST_READ])


def members(group: "int | None" = None) -> "list[Process]":
    """The members of a process group, or every process that we may signal."""
    if group:
        return [one for one in procfs.processes() if one.group == group]
    return Tree().everyone()


def send(log: "Log", number: int) -> None:
    """Send a signal to every process that is left.

    One that may not be signalled is a line in the `log`. (Not as PID 1: the kernel does not name it.)

    Raises:
        OSError: there was none (ESRCH).
    """
    if posix.getpid() == 1:
        posix.kill(-1, number)
        return
    found = members()
    for member in found:
        send_to(member, number, log)
    if not found:  # not reached: the last one ended since we looked
        raise ProcessLookupError(errno.ESRCH, posix.strerror(errno.ESRCH))


def send_to(member: "Process", number: int, log: "Log") -> bool:
    """Send a signal to one process; return whether it was sent. If it may not be, that is a line in the `log`."""
    try:
        if member.parent == posix.getpid():  # the pid of our child is not used again before we wait for it
            posix.kill(member.pid, number)
        else:
            procfs.send(member, number)
    except ProcessLookupError:  # it has ended meanwhile
        return False
    except OSError as error:
        warn(log, member, number, error)
        return False
    return True


def ask(member: "Process", number: int, log: "Log") -> bool:
    """The same for a signal that it has to hear, also if it is stopped."""
    if not send_to(member, number, log):
        return False
    procfs.let_hear(member, number)
    return True


def kill() -> None:
    """Kill every process that is left. Where that takes a walk, it is one: call this until none is left."""
    if posix.getpid() == 1:
        posix.kill(-1, signals.KILL)
        return
    kill_each(members())


def kill_each(members: "list[Process]") -> None:
    """Kill these processes."""
    for member in members:
        try:
            procfs.send(member, signals.KILL)
        except OSError:  # it has ended meanwhile, or we may not kill it
            pass


def notice_gone(account: "Account") -> None:
    """Note the stragglers that have ended. Of those that are not our children nobody tells us."""
    for pid in list(account.remaining):
        try:
            posix.kill(pid, 0)
        except ProcessLookupError:
            account.straggler_ended(pid, None)
        except OSError:  # EPERM: it is there
            pass


def is_alone() -> bool:
    """Whether PID 1 is alone in its PID namespace: without children, and without processes from outside."""
    try:
        posix.kill(-1, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # not reached: takes a sandbox. Without CAP_KILL the kernel reports success.
        pass
    return False


def describe(members: "list[Process]") -> str:
    """``3 remaining processes (sleep x3)``."""
    if not members:
        return "all remaining processes; none can be seen"
    counted = humanize.count(len(members), "remaining process", "remaining processes")
    return f"{counted} ({humanize.names([member.name for member in members])})"


def warn(log: "Log", member: "Process", number: int, error: OSError) -> None:
    """Report that a process could not be sent a signal."""
    name = signals.name_of(number)
    message = f"cannot send {name} to {member.name} (pid {member.pid}): {error.strerror}"
    log.warn_once("undeliverable", message, signal=name, pid=member.pid)
