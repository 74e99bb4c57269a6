"""The counters that a running pyinit publishes (`pyinit.status`), read through /proc/PID/fd.

Whoever may look into PID 1 may write there, too, so nothing of it is taken on trust.
"""

import json
import os
import re
import time
from dataclasses import dataclass

from pyinit import __version__
from pyinit.ctl.failure import CannotLook
from pyinit.kernel import procfs, signals
from pyinit.reporting import counters as status
from pyinit.reporting.log import printable

STAGES = ("running", "staying", "draining", "killing", "over")

_PATIENCE = 1.0
"""Seconds within which there is a moment in which nobody writes."""

_FIRST_LINE = re.compile(rb"%s (\d{1,6}) (\S{1,40}) (\d{1,6}) (\d{1,18}) *\n" % status.NAME.encode())

_MOST = 1 << 53
"""No number is larger. (As far as a float knows each whole number.)"""


@dataclass(frozen=True)
class Forwarded:
    """Signals of one number that were passed on."""

    signal: str
    count: int
    sender_pid: int | None
    """Who sent the last one: 0 for a process outside the PID namespace, None for the kernel; the uid likewise."""
    sender_uid: int | None
    origin: str | None
    """The same in words, where pyinit has looked it up."""
    seconds_ago: float


@dataclass(frozen=True)
class Counters:
    """What a pyinit tells of itself. Pids are those of its own PID namespace."""

    version: str
    pid: int
    workload: int
    """The workload's pid; pyinit's own where there is none (``--pause``)."""
    name: str
    seconds: float
    """Since the workload was started."""
    stage: str
    wait_status: int | None
    """The workload's, once it has ended."""
    ended_seconds_ago: float | None
    orphans_reaped: int
    log_lines_dropped: int
    forwarded: list[Forwarded]

    @property
    def is_pause(self) -> bool:
        """Whether there is no workload."""
        return self.workload == self.pid


def pid_of_init() -> int:
    """The pyinit of our own container, for where nobody names one; PID 1 if there is none.

    In a pod that shares its process namespace PID 1 is the pause container's, and others may have a pyinit, too: ours
    sees the same files (mount_namespaces(7)).
    """
    for pid in (1, *(found.pid for found in procfs.processes())):
        try:
            if os.path.samefile(f"/proc/{pid}/ns/mnt", "/proc/self/ns/mnt"):
                _path(pid)
                return pid
        except (CannotLook, OSError):
            continue
    return 1


def read(pid: int) -> Counters:
    """The counters of the pyinit that is process `pid`; its text can do no harm (`printable`).

    Raises:
        CannotLook: it has none, or we may not see them; the text says why.
    """
    text, version = _text(_path(pid), pid)
    try:
        return _counters(json.loads(text), version)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise CannotLook(f"the counters of pid {pid} make no sense: {error!r}") from None


def _counters(told: dict[str, object], version: str) -> Counters:
    """What the object tells.

    Raises:
        ValueError, TypeError, KeyError, OverflowError: that cannot be.
    """
    now = time.monotonic()
    pid, workload = _number(told["pid"]), _number(told["workload"])
    wait_status = None if workload == pid else _number_or_none(told["wait_status"])
    if wait_status is not None:
        os.waitstatus_to_exitcode(wait_status)
    if told["stage"] not in STAGES:
        raise ValueError("no such stage")
    forwarded = [_forwarded(one, now) for one in _list(told["signals"])]
    if len({one.signal for one in forwarded}) < len(forwarded):
        raise ValueError("a signal twice")
    return Counters(
        version=version,
        pid=pid,
        workload=workload,
        name=_words(told["name"]),
        seconds=_since(told["started"], now),
        stage=_words(told["stage"]),
        wait_status=wait_status,
        ended_seconds_ago=None if wait_status is None else _since(told["ended"], now),
        orphans_reaped=_number(told["orphans_reaped"]),
        log_lines_dropped=_number(told["log_lines_dropped"]),
        forwarded=forwarded,
    )


def _forwarded(told: object, now: float) -> Forwarded:
    number, count, sender, uid, origin, at = _list(told)
    if number not in signals.ALL:
        raise ValueError("no such signal")
    return Forwarded(
        signals.name_of(_number(number)),
        _number(count),
        _number_or_none(sender),
        _number_or_none(uid),
        None if origin is None else _words(origin),
        _since(at, now),
    )


def _number(value: object) -> int:
    if type(value) is int and 0 <= value < _MOST:
        return value
    raise ValueError("no number")


def _number_or_none(value: object) -> int | None:
    return None if value is None else _number(value)


def _since(value: object, now: float) -> float:
    """Seconds since that time of the monotonic clock."""
    if isinstance(value, int | float) and 0 <= value < _MOST:
        return max(0.0, now - value)
    raise ValueError("no time")


def _words(value: object) -> str:
    if isinstance(value, str):
        return printable(value)
    raise ValueError("no text")


def _list(value: object) -> list[object]:
    if isinstance(value, list):
        return value
    raise ValueError("no list")


def _path(pid: int) -> str:
    """Where the memfd of process `pid` can be opened."""
    if not procfs.is_ours():
        raise CannotLook("/proc is not mounted, or is that of another PID namespace")
    folder = f"/proc/{pid}/fd"
    try:
        for entry in os.listdir(folder):
            path = f"{folder}/{entry}"
            try:
                if os.readlink(path) == f"/memfd:{status.NAME} (deleted)":
                    return path
            except FileNotFoundError:  # closed meanwhile
                continue
    except FileNotFoundError:
        if os.path.exists("/proc/1"):  # there is one in every PID namespace
            raise CannotLook(f"there is no pid {pid} to be seen") from None
        raise CannotLook(
            f"/proc is mounted with hidepid, and does not show pid {pid} to uid {os.geteuid()}: run pyinitctl as the "
            "user whom that process belongs to (docker exec -u)"
        ) from None
    except PermissionError:
        raise CannotLook(_refused(pid)) from None
    except OSError as error:
        raise CannotLook(f"cannot look into {folder}: {error.strerror}") from None
    found = procfs.process(pid)
    name = f" ({printable(found.name)})" if found else ""
    raise CannotLook(
        f"pid {pid}{name} publishes no counters: it is no pyinit (name one with -p PID), or has only just started"
    )


def _refused(pid: int) -> str:
    """Why the descriptors of `pid` may not be seen, and what would help (ptrace(2), "access mode checking")."""
    me = f"{os.geteuid()}:{os.getegid()}"
    try:
        found = os.stat(f"/proc/{pid}")
        owner = f"{found.st_uid}:{found.st_gid}"
    except OSError:
        owner = me
    if owner == me:
        return f"pid {pid} may not be looked into: it has capabilities that this process lacks"
    return f"pid {pid} belongs to user {owner}, and this is {me}: run pyinitctl as that user (docker exec -u {owner})"


def _text(path: str, pid: int) -> tuple[bytes, str]:
    """The object that the memfd holds, and the version of the pyinit that wrote it."""
    try:
        # Somebody else's may be a FIFO of that name, or a terminal.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise CannotLook(f"cannot open the counters of pid {pid}: {error.strerror}") from None
    until = time.monotonic() + _PATIENCE
    try:
        while True:
            # From back to front: what is read between two equal numbers is of one state (`pyinit.status`). Twice, since
            # not every processor reads in order.
            last, content, first = _all(fd), _all(fd), _all(fd)
            if head := _FIRST_LINE.match(first):
                layout, length, version = int(head[1]), int(head[3]), printable(head[2].decode("utf-8", "replace"))
                if layout != status.LAYOUT:
                    raise CannotLook(
                        f"pid {pid} is pyinit {version}, whose counters have layout {layout}, and this is pyinitctl "
                        f"{__version__}, which reads layout {status.LAYOUT}: use the pyinitctl that came with it"
                    )
                end = b"\n%s\n" % head[4]
                # (A first line that is half written may tell of more than there is.)
                if len(last) >= length and last[:length].endswith(end) and content[:length] == first[:length]:
                    return content[head.end() : length - len(end)], version
            if time.monotonic() > until:
                break
            time.sleep(0.0005)
    except OSError as error:
        raise CannotLook(f"cannot read the counters of pid {pid}: {error.strerror}") from None
    finally:
        os.close(fd)
    raise CannotLook(f"the counters of pid {pid} cannot be read: they are being written all the time, or are damaged")


def _all(fd: int) -> bytes:
    return os.pread(fd, 1 << 16, 0)
