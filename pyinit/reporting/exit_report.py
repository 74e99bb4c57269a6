"""The report: one line on why the container ends."""

import errno
import posix

from ..kernel import procfs, reserves, signals, wait_status
from . import fates, humanize
from .log import ERROR, INFO, Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..account import Account
    from ..workload.user import User
    from .log import Field


def write(account: "Account", log: Log, termination_log: "str | None", user: "User | None") -> None:
    """Write the line to the log and, as `user`, to the file `termination_log` if there is one."""
    line = compose(account, log)
    log.write(line)
    if termination_log:
        write_termination_log(termination_log, line, user, log)


def compose(account: "Account", log: Log) -> bytes:
    """The line for the log, made when all is over."""
    ending = account.ending
    assert ending is not None
    number = ending.signal
    seconds = account.ended - account.started
    received = account.cause
    if received and received.pid and received.is_vouched_for and received.sender_name is None:
        received.sender_name = procfs.name_of(received.pid)  # not reached: the first look at the sender found no memory
    since = max(0.0, account.ended - received.time) if received else None
    killed_after = account.killed_after
    memory = account.memory
    kills, limit, peak = memory.read() if memory else (None, None, None)
    is_own_kill = number in account.delivered or killed_after is not None
    was_out_of_memory = bool(kills) and number == signals.KILL and not is_own_kill

    how = "does not end, and is given up" if ending.wait_status is None else wait_status.describe(ending.wait_status)
    what = f"{account.name} (pid {account.pid}) {how} after {humanize.duration(seconds)}"
    bound = f"the cgroup's limit is {humanize.size(limit)}" if limit else "the cgroup has no limit of its own"
    sender = f"{signals.name_of(received.number)} {received.origin}" if received else ""
    if was_out_of_memory:
        # not reached: needs a memory cgroup: container tests
        what += f": out of memory ({bound}, {humanize.count(kills or 0, 'kill')})"
    elif killed_after is not None:  # without a sender: the workload could not be sent the stop signal
        what += f": it did not exit within {humanize.duration(killed_after)} of {sender or 'the stop signal'}"
    elif since is not None:
        what += f", {humanize.duration(since)} after {sender}"
    facts = [what]
    if kills and not was_out_of_memory:
        # not reached: needs a memory cgroup: container tests
        facts.append(f"{humanize.count(kills, 'other process', 'other processes')} killed: out of memory ({bound})")
    if account.usage:
        facts.append(f"{humanize.duration(account.usage[0])} CPU, {humanize.size(account.usage[1])} peak memory")
    stragglers = fates.find(account)
    facts += fates.phrases(stragglers, account)
    if account.last_crash:
        pid, name, status = account.last_crash
        facts.append(f"the last process, {name or 'without a name'} (pid {pid}), {wait_status.describe(status)}")
    if account.orphans:
        facts.append(f"{humanize.count(account.orphans, 'orphan')} reaped")

    fields: "dict[str, Field]" = {
        "pid": account.pid,
        "name": account.name,
        "status": ending.status,
        "exit_status": ending.exit_status,
        "killed_by": signals.name_of(number) if number else None,
        "seconds": humanize.rounded(seconds),
        "cpu_seconds": humanize.rounded(account.usage[0]) if account.usage else None,
        "peak_memory_bytes": account.usage[1] if account.usage else None,
        "signal": signals.name_of(received.number) if received else None,
        "sender_pid": received.pid if received else None,
        "sender_uid": received.uid if received else None,
        "signal_seconds": humanize.rounded(since),
        "killed_after_seconds": humanize.rounded(killed_after),
        "oom_kills": kills,
        "memory_limit_bytes": limit,
        "memory_peak_bytes": peak,
        **fates.fields(stragglers, account),
        "orphans_reaped": account.orphans,
    }
    return log.line(ERROR if account.is_abnormal else INFO, "ended", "; ".join(facts), fields)


def write_termination_log(path: str, line: bytes, user: "User | None", log: Log) -> None:
    """Append the line to the file, as `user` if there is one; a warning if that fails.

    That user may have put something there, such as a link to a file of ours: so we write with no more rights than
    theirs. Nothing that needs ours may follow, but for `ending.filters`, which gets them back. If we cannot have theirs
    alone, we write only to a file that every user may write, and follow no link.
    """
    # O_NONBLOCK is for a FIFO that nobody reads: it would keep us here.
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_NONBLOCK | posix.O_NOCTTY
    try:
        if user:
            try:
                user.act()
            except OSError:
                flags ^= posix.O_CREAT | posix.O_NOFOLLOW
        fd = reserves.open_file(path, flags, 0o644)
        try:
            if flags & posix.O_NOFOLLOW and not posix.fstat(fd).st_mode & 0o002:
                raise PermissionError(errno.EACCES, posix.strerror(errno.EACCES))
            while line:
                line = line[posix.write(fd, line) :]
        finally:
            posix.close(fd)
    except OSError as error:
        log.warning("termination-log", f"cannot write to the termination log '{path}': {error.strerror}")
