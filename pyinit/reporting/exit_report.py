"""The report: in one line, why the container ends."""

import posix
import time

from .. import reaper
from ..ending import stragglers as everyone
from ..kernel import signals
from . import humanize as words
from .log import ERROR, INFO, Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..ending.stages import Shutdown
    from ..init import Init
    from ..workload.user import User
    from .log import Field


def compose(init: "Init", status: int, exit_status: int, log: Log) -> bytes:
    """The line for the log, made when all is over.

    `status` is the workload's as a shell tells it, `exit_status` the one that pyinit ends with.
    """
    wait_status = init.reaper.wait_status
    number = posix.WTERMSIG(wait_status) if wait_status is not None and posix.WIFSIGNALED(wait_status) else 0
    ended = init.reaper.ended or time.monotonic()
    seconds = ended - init.workload.started
    # What explains the end: the signal that the workload died of, or else the first that asked it to stop.
    received = init.received.get(number, init.first_stop)
    since = max(0.0, ended - received.time) if received else None
    killed_after = init.killed_after
    kills = init.memory.kills() if init.memory else None
    limit = init.memory.limit() if init.memory else None
    was_out_of_memory = bool(kills) and number == signals.KILL and number not in init.received and killed_after is None

    how = reaper.describe(wait_status) if wait_status is not None else "does not end, and is given up"
    what = f"{init.workload.name} (pid {init.workload.pid}) {how} after {words.duration(seconds)}"
    bound = f"the cgroup's limit is {words.size(limit)}" if limit else "the cgroup has no limit of its own"
    if was_out_of_memory:
        what += f": out of memory ({bound}, {words.count(kills or 0, 'kill')})"
    elif killed_after is not None and received:
        what += f": it was still there {words.duration(killed_after)} after {received.name} {received.origin()}"
    elif received and since is not None:
        what += f", {words.duration(since)} after {received.name} {received.origin()}"
    facts = [what]
    if kills and not was_out_of_memory:
        facts.append(f"{words.count(kills, 'process', 'processes')} beside it killed: out of memory ({bound})")
    if init.reaper.usage:
        facts.append(f"{words.duration(init.reaper.usage[0])} CPU, {words.size(init.reaper.usage[1])} peak memory")
    ended_names, killed_names, left_names = _stragglers(init.shutdown)
    if ended_names:
        facts.append(f"{words.count(len(ended_names), 'straggler')} ended ({everyone.summary(ended_names)})")
    if killed_names:
        facts.append(f"{words.count(len(killed_names), 'straggler')} killed ({everyone.summary(killed_names)})")
    elif killed_names is None:
        facts.append("stragglers killed (/proc does not tell who)")
    if left_names:
        facts.append(f"{words.count(len(left_names), 'straggler')} left behind ({everyone.summary(left_names)})")
    if init.reaper.orphans:
        facts.append(f"{words.count(init.reaper.orphans, 'orphan')} reaped")

    fields: "dict[str, Field]" = {
        "pid": init.workload.pid,
        "name": init.workload.name,
        "status": status,
        "exit_status": exit_status,
        "killed_by": signals.name_of(number) if number else None,
        "seconds": _rounded(seconds),
        "cpu_seconds": _rounded(init.reaper.usage[0]) if init.reaper.usage else None,
        "peak_memory_bytes": init.reaper.usage[1] if init.reaper.usage else None,
        "signal": received.name if received else None,
        "sender_pid": received.pid if received else None,
        "sender_uid": received.uid if received else None,
        "signal_seconds": _rounded(since),
        "killed_after_seconds": _rounded(killed_after),
        "oom_kills": kills,
        "memory_limit_bytes": limit,
        "memory_peak_bytes": init.memory.peak() if init.memory else None,
        "stragglers_ended": len(ended_names),
        "stragglers_ended_names": everyone.different(ended_names),
        "stragglers_killed": None if killed_names is None else len(killed_names),
        "stragglers_killed_names": everyone.different(killed_names or []),
        "stragglers_left": len(left_names),
        "stragglers_left_names": everyone.different(left_names),
        "orphans_reaped": init.reaper.orphans,
    }
    return log.line(ERROR if init.is_abnormal() else INFO, "ended", "; ".join(facts), fields)


def write_termination_log(path: str, line: bytes, user: "User | None", log: Log) -> None:
    """Write the line to the end of the file, as `user` if there is one; a warning if that cannot be done.

    What that user has put there (a link to a file of ours) must not lead us where it could not go itself. There is no
    way back: nothing that needs our own rights may follow.
    """
    # O_NONBLOCK is for a FIFO that nobody reads: it would keep us here.
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
    try:
        if user:
            user.act()
        fd = posix.open(path, flags, 0o644)
        try:
            while line:
                line = line[posix.write(fd, line) :]
        finally:
            posix.close(fd)
    except OSError as error:
        log.warning("termination-log", f"cannot write to the termination log '{path}': {error.strerror}")


def _stragglers(shutdown: "Shutdown | None") -> "tuple[list[str], list[str] | None, list[str]]":
    """The names of those who ended, who were killed (None if that is not known), and who are there all the same."""
    if shutdown is None:
        return [], [], []
    killed = {member.identity for member in shutdown.killed}
    left = {member.identity for member in shutdown.left}
    ended_names = [member.name for member in shutdown.stragglers if member.identity not in killed]
    killed_names = [member.name for member in shutdown.killed if member.identity not in left]
    left_names = [member.name for member in shutdown.left]
    is_known = killed or not shutdown.has_killed
    return ended_names, killed_names if is_known else None, left_names


def _rounded(seconds: "float | None") -> "float | None":
    return None if seconds is None else round(seconds, 3)
