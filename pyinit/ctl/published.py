"""The counters that a running pyinit publishes (`pyinit.reporting.counters`), read through /proc/PID/fd.

Every process that may read them may also write there, so nothing in them is trusted.
"""

import itertools
import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from pyinit import __version__
from pyinit.ctl.failure import CannotLook, check_proc
from pyinit.kernel import procfs, signals
from pyinit.reporting import COUNTERS
from pyinit.reporting.counters import LAYOUT
from pyinit.reporting.log import printable

STAGES = {
    "running": "running",
    "staying": "staying until the last process has ended",
    "draining": "draining: the remaining processes are being asked to end",
    "killing": "killing the remaining processes",
    "over": "over",
}
"""The stages of the shutdown, as published and in words."""

_PATIENCE = 1.0
"""Seconds to wait for a moment without a write."""

_LONGEST = 255
"""The most characters of a text, as of a file name."""

_FIRST_LINE = re.compile(rb"%s (\d{1,6}) (\S{1,40}) (\d{1,6}) (\d{1,18}) *\n" % COUNTERS.encode())

_MOST = 1 << 53
"""The largest number that is accepted: up to this a float can represent each whole number."""


@dataclass(frozen=True)
class Forwarded:
    """The forwarded signals of one number."""

    signal: str
    count: int
    sender_pid: int | None
    """The sender of the last one: 0 for a process outside the PID namespace, None for the kernel; the uid likewise."""
    sender_uid: int | None
    origin: str | None
    """The sender in words, if pyinit has looked it up."""
    seconds_ago: float


@dataclass(frozen=True)
class Counters:
    """What a pyinit reports of itself. Pids are those of its own PID namespace."""

    version: str
    pid: int
    workload: int
    """The pid of the workload; pyinit's own without a workload (``--pause``)."""
    name: str
    started: float
    """When the workload was started, by the monotonic clock."""
    seconds: float
    """Time since then."""
    stage: str
    wait_status: int | None
    """That of the workload, once it has ended."""
    ended_seconds_ago: float | None
    orphans_reaped: int
    log_lines_dropped: int
    forwarded: list[Forwarded]

    @property
    def is_pause(self) -> bool:
        """Whether this pyinit runs without a workload."""
        return self.workload == self.pid

    @property
    def workload_name(self) -> str:
        """Name and pid of the workload, for people."""
        return f"{self.name} (pid {self.workload})"

    def find_workload(self, init: int, processes: Iterable[procfs.Process]) -> procfs.Process | None:
        """The workload among `processes`; None if it is not one of them.

        `init` is the pid of this pyinit in our PID namespace. Its own namespace, whose pids the counters have, may be
        nested in ours: then each process has another pid there.
        """
        depth = len(procfs.pids(init))
        for one in processes:
            if one.parent == init:
                pid = one.pid if depth < 2 else next(iter(procfs.pids(one.pid)[depth - 1 :]), None)
                if pid == self.workload:
                    return one
        return None


def pid_of_init() -> int:
    """The pid of the pyinit of our own container; 1 if none is found.

    In a pod that shares its process namespace PID 1 is the pause container, and other containers may have a pyinit,
    too. Ours is the one in our mount namespace (mount_namespaces(7)).
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
    """The counters of the pyinit with this pid. All text in them is made `printable`.

    Raises:
        CannotLook: the process has no counters, or we may not read them; the text says why.
    """
    return read_from(_path(pid), pid, time.monotonic() + _PATIENCE)


def read_from(path: str, pid: int, until: float) -> Counters:
    """As `read`, from the `path` that `find` has returned for this pid.

    Until that time, of the monotonic clock, it waits for a moment without a write.
    """
    text, version = _object_in(path, pid, until)
    try:
        return _parsed(json.loads(text), version)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise CannotLook(f"the counters of pid {pid} make no sense: {error!r}") from None


def _parsed(page: dict[str, object], version: str) -> Counters:
    """The counters in a JSON object.

    Raises:
        ValueError, TypeError, KeyError, OverflowError: pyinit never writes that.
    """
    now = time.monotonic()
    pid, workload = _number(page["pid"]), _number(page["workload"])
    wait_status = None if workload == pid else _number_or_none(page["wait_status"])
    if wait_status is not None:
        os.waitstatus_to_exitcode(wait_status)
    if page["stage"] not in STAGES:
        raise ValueError("no such stage")
    forwarded = [_forwarded(one, now) for one in _list(page["signals"])]
    if len({one.signal for one in forwarded}) < len(forwarded):
        raise ValueError("a signal twice")
    return Counters(
        version=version,
        pid=pid,
        workload=workload,
        name=_text(page["name"]),
        started=now - _since(page["started"], now),
        seconds=_since(page["started"], now),
        stage=_text(page["stage"]),
        wait_status=wait_status,
        ended_seconds_ago=None if wait_status is None else _since(page["ended"], now),
        orphans_reaped=_number(page["orphans_reaped"]),
        log_lines_dropped=_number(page["log_lines_dropped"]),
        forwarded=forwarded,
    )


def _forwarded(entry: object, now: float) -> Forwarded:
    number, count, sender, uid, origin, at = _list(entry)
    if number not in signals.ALL:
        raise ValueError("no such signal")
    return Forwarded(
        signals.name_of(_number(number)),
        _number(count),
        _number_or_none(sender),
        _number_or_none(uid),
        None if origin is None else _text(origin),
        _since(at, now),
    )


def _number(value: object) -> int:
    if type(value) is int and 0 <= value < _MOST:
        return value
    raise ValueError("not a number")


def _number_or_none(value: object) -> int | None:
    return None if value is None else _number(value)


def _since(value: object, now: float) -> float:
    """Seconds since a time of the monotonic clock."""
    if isinstance(value, int | float) and 0 <= value < _MOST:
        return max(0.0, now - value)
    raise ValueError("not a time")


def _text(value: object) -> str:
    if isinstance(value, str):
        return printable(value[:_LONGEST])
    raise ValueError("not a text")


def _list(value: object) -> list[object]:
    if isinstance(value, list):
        return value
    raise ValueError("not a list")


def find(pid: int, most: int | None = None) -> str | None:
    """The path under which the memfd of a pyinit can be opened; None if that process is not pyinit.

    `most` is how many of its descriptors are looked at. (A pyinit has few, a busy server may have a million.)

    Raises:
        OSError: we may not see them, or the process has exited.
    """
    with os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in itertools.islice(entries, most):
            try:
                if os.readlink(entry.path) == f"/memfd:{COUNTERS} (deleted)":
                    return entry.path
            except FileNotFoundError:  # closed meanwhile
                continue
    return None


def _path(pid: int) -> str:
    """The path under which the memfd of process `pid` can be opened."""
    check_proc()
    folder = f"/proc/{pid}/fd"
    try:
        if path := find(pid):
            return path
    except FileNotFoundError:
        if os.path.exists("/proc/1"):  # every PID namespace has one
            raise CannotLook(f"no process with pid {pid} is visible") from None
        raise CannotLook(
            f"/proc is mounted with hidepid and hides pid {pid} from uid {os.geteuid()}: run pyinitctl as the user of "
            "that process (docker exec -u)"
        ) from None
    except PermissionError:
        raise CannotLook(_refused(pid)) from None
    except OSError as error:
        raise CannotLook(f"cannot look into {folder}: {error.strerror}") from None
    found = procfs.process(pid)
    name = f" ({printable(found.name)})" if found else ""
    raise CannotLook(
        f"pid {pid}{name} publishes no counters: it is not pyinit (name one with -p PID), or it has only just started"
    )


def _refused(pid: int) -> str:
    """Why we may not see the descriptors of `pid`, and what would help (ptrace(2), "access mode checking")."""
    me = f"{os.geteuid()}:{os.getegid()}"
    try:
        found = os.stat(f"/proc/{pid}")
        owner = f"{found.st_uid}:{found.st_gid}"
    except OSError:
        owner = me
    if owner == me:
        return f"cannot inspect pid {pid}: it has capabilities that pyinitctl lacks"
    return f"pid {pid} belongs to user {owner} and pyinitctl runs as {me}: run it as that user (docker exec -u {owner})"


def _object_in(path: str, pid: int, until: float) -> tuple[bytes, str]:
    """The JSON object in the memfd, and the version of the pyinit that wrote it."""
    try:
        # In a process that is not pyinit this may be a FIFO of that name, or a terminal.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise CannotLook(f"cannot open the counters of pid {pid}: {error.strerror}") from None
    try:
        while True:
            # From back to front: what is read between two equal sequence numbers is one state (see the writer). The
            # whole page each time, since not every processor reads in order.
            last, content, first = _all(fd), _all(fd), _all(fd)
            if head := _FIRST_LINE.match(first):
                layout, length, version = int(head[1]), int(head[3]), printable(head[2].decode("utf-8", "replace"))
                if layout != LAYOUT:
                    raise CannotLook(
                        f"pid {pid} is pyinit {version}, whose counters have layout {layout}; this is pyinitctl "
                        f"{__version__}, which reads layout {LAYOUT}: use the pyinitctl of that version"
                    )
                end = b"\n%s\n" % head[4]
                # (A half-written first line may have a length beyond the end.)
                if len(last) >= length and last[:length].endswith(end) and content[:length] == first[:length]:
                    return content[head.end() : length - len(end)], version
            if time.monotonic() > until:
                break
            time.sleep(0.0005)
    except OSError as error:
        raise CannotLook(f"cannot read the counters of pid {pid}: {error.strerror}") from None
    finally:
        os.close(fd)
    if not first:
        raise CannotLook(
            f"pid {pid} has published no counters: it has only just started, or may write no file (ulimit -f)"
        )
    raise CannotLook(f"the counters of pid {pid} cannot be read: they are being written all the time, or are damaged")


def _all(fd: int) -> bytes:
    return os.pread(fd, 1 << 16, 0)
