"""The counters that a running pyinit publishes (`pyinit.status`), read through /proc/PID/fd."""

import json
import os
import time
from dataclasses import dataclass

from pyinit import procfs, signals, status
from pyinit.ctl.failure import CannotLook

_TRIES = 100
"""How often to read until nobody has written meanwhile."""


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


def read(pid: int) -> Counters:
    """The counters of the pyinit that is process `pid`.

    Raises:
        CannotLook: it has none, or we may not see them; the text says why.
    """
    text, version = _text(_path(pid), pid)
    try:
        told = json.loads(text)
        now = time.monotonic()
        return Counters(
            version=version,
            pid=told["pid"],
            workload=told["workload"],
            name=told["name"],
            seconds=max(0.0, now - told["started"]),
            stage=told["stage"],
            wait_status=told["wait_status"],
            ended_seconds_ago=None if told["wait_status"] is None else max(0.0, now - told["ended"]),
            orphans_reaped=told["orphans_reaped"],
            log_lines_dropped=told["log_lines_dropped"],
            forwarded=[
                Forwarded(signals.name_of(number), count, sender, uid, origin, max(0.0, now - at))
                for number, count, sender, uid, origin, at in told["signals"]
            ],
        )
    except (ValueError, TypeError, KeyError) as error:
        raise CannotLook(f"the counters of pid {pid} make no sense: {error!r}") from None


def _path(pid: int) -> str:
    """Where the memfd of process `pid` can be opened."""
    folder = f"/proc/{pid}/fd"
    try:
        for entry in os.listdir(folder):
            path = f"{folder}/{entry}"
            try:
                if os.readlink(path).startswith(f"/memfd:{status.NAME}"):
                    return path
            except FileNotFoundError:  # closed meanwhile
                continue
    except FileNotFoundError:
        hidden = "; /proc is mounted with hidepid, perhaps" if pid == 1 else ""
        raise CannotLook(f"there is no pid {pid} to be seen{hidden}") from None
    except PermissionError:
        raise CannotLook(_refused(pid)) from None
    except OSError as error:
        raise CannotLook(f"cannot look into {folder}: {error.strerror}") from None
    found = procfs.process(pid)
    name = found.name if found else "?"
    raise CannotLook(f"pid {pid} ({name}) publishes no counters: it is no pyinit; name one that is with -p PID")


def _refused(pid: int) -> str:
    """Why the descriptors of `pid` may not be seen, and what would help (ptrace(2), "access mode checking")."""
    try:
        owner = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        owner = None
    me = os.geteuid()
    if owner is None or owner == me:
        return f"pid {pid} may not be looked into: it has capabilities that this process lacks"
    return (
        f"pid {pid} belongs to uid {owner}, and this is uid {me}: run pyinitctl as that user (docker exec -u {owner})"
    )


def _text(path: str, pid: int) -> tuple[str, str]:
    """The object that the memfd holds, and the version of the pyinit that wrote it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CannotLook(f"cannot open the counters of pid {pid}: {error.strerror}") from None
    try:
        for _ in range(_TRIES):
            # From back to front: what is read between two equal numbers is of one state (`pyinit.status`).
            end = _Page(_all(fd)).last
            page = _Page(_all(fd))
            if page.name == status.NAME and page.layout != str(status.LAYOUT):
                raise CannotLook(
                    f"pid {pid} is pyinit {page.version}, whose counters have layout {page.layout}, and this pyinitctl "
                    f"reads layout {status.LAYOUT}: use the pyinitctl that came with it"
                )
            if end == page.last == _Page(_all(fd)).sequence and end:
                return page.body, page.version
    except OSError as error:
        raise CannotLook(f"cannot read the counters of pid {pid}: {error.strerror}") from None
    finally:
        os.close(fd)
    raise CannotLook(f"the counters of pid {pid} cannot be read: they are being written all the time, or are damaged")


def _all(fd: int) -> bytes:
    return os.pread(fd, 1 << 16, 0)


class _Page:
    """The lines of the memfd, taken apart as far as they are there."""

    def __init__(self, content: bytes) -> None:
        head, _, _ = content.partition(b"\n")
        words = head.decode("utf-8", "replace").split()
        self.name, self.layout, self.version, length, self.sequence = (*words[:5], "", "", "", "", "")[:5]
        lines = content[: int(length) if length.isdecimal() else 0].decode("utf-8", "replace").split("\n")
        self.body = lines[1] if len(lines) > 2 else ""
        self.last = lines[2] if len(lines) > 2 else ""
