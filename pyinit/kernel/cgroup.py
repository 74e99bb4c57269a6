"""Our memory cgroup: its limit, its peak, and how many of its processes the kernel killed when out of memory.

Version 2 has these numbers in ``memory.events``, ``memory.max`` and ``memory.peak`` (cgroup-v2.rst), version 1 in
``memory.oom_control``, ``memory.limit_in_bytes`` and ``memory.max_usage_in_bytes``. The count covers the processes of
the cgroup, whether the cgroup itself, one above it or the machine was out of memory. Only version 2 has
``memory.oom.group``.
"""

from . import procfs
from .numbers import whole

_FILES = {
    "cgroup2": ("memory.events", "memory.max", "memory.peak", "memory.oom.group"),
    "cgroup": ("memory.oom_control", "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
}
"""The files with kills, limit and peak, by the type of the file system; and the one that says who is killed."""

_NO_LIMIT = 1 << 62
"""Version 1 reports no limit as a huge number: the highest one, rounded down to a page."""

_MOST = (1 << 64) - 1


class Memory:
    """The memory cgroup that a process is in, by default our own. A number that cannot be read is None."""

    __slots__ = ("_before", "_files")

    def __init__(self, pid: "int | None" = None) -> None:
        process = f"/proc/{pid or 'self'}"
        files = find(_text(f"{process}/mountinfo"), _text(f"{process}/cgroup"))
        self._files = tuple([f"{process}/root{path}" for path in files]) if pid else files
        # The cgroup of a container is new, any other is not: do not count what happened in it before our start.
        self._before = self._count()

    def read(self) -> "tuple[int | None, int | None, int | None]":
        """The three of them: kills, limit, peak."""
        return self.kills(), self.limit(), self.peak()

    def kills(self) -> "int | None":
        """How many processes of the cgroup were killed since our start because memory ran out."""
        now = self._count()
        return None if now is None or self._before is None else max(0, now - self._before)

    def limit(self) -> "int | None":
        """The limit in bytes; None if there is not one."""
        limit = _number(self._read(1))  # None for "max"
        return None if limit is None or limit >= _NO_LIMIT else limit

    def peak(self) -> "int | None":
        """The most memory that was ever in use, in bytes."""
        return _number(self._read(2))

    def kills_all(self) -> "bool | None":
        """Whether the kernel kills all processes of the cgroup at once when memory runs out, PID 1 among them."""
        value = _number(self._read(3))
        return None if value is None else value == 1

    def _count(self) -> "int | None":
        for line in self._read(0).splitlines():
            key, _, value = line.partition(b" ")
            if key == b"oom_kill":
                return _number(value)
        return None

    def _read(self, index: int) -> bytes:
        return procfs.read(self._files[index]) or b"" if index < len(self._files) else b""


def _text(path: str) -> str:
    return (procfs.read(path) or b"").decode("utf-8", "surrogateescape")


def _number(text: bytes) -> "int | None":
    return whole(text.strip(), _MOST)


def _unescaped(path: str) -> str:
    """A path of mountinfo without its escapes for blanks and backslashes (proc_pid_mountinfo(5))."""
    for escape, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(escape, char)
    return path


def find(mounts: str, memberships: str) -> "tuple[str, ...]":
    """The paths of the files, from /proc/self/mountinfo and /proc/self/cgroup; empty if those do not say."""
    paths = {}
    for line in memberships.split("\n"):  # not splitlines(): the name of a folder may contain other line ends
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            paths["cgroup2"] = path
        elif "memory" in controllers.split(","):
            paths["cgroup"] = path
    found = {}
    for line in mounts.split("\n"):
        # ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAG]... - TYPE SOURCE SUPEROPTIONS
        place, _, kind = line.partition(" - ")
        places, kinds = place.split(" "), kind.split(" ")
        if len(places) < 5 or len(kinds) < 3 or kinds[0] not in paths:
            continue
        if kinds[0] == "cgroup" and "memory" not in kinds[2].split(","):
            continue
        root, point, path = _unescaped(places[3]).rstrip("/"), _unescaped(places[4]), paths[kinds[0]].rstrip("/")
        if path == root or path.startswith(f"{root}/"):
            found[kinds[0]] = point + path[len(root) :]
        else:  # a container that has its own cgroup mounted, and its path relative to some other root
            found.setdefault(kinds[0], point)
    kind = "cgroup" if "cgroup" in found else "cgroup2"  # if both are mounted, version 1 has the memory controller
    return tuple([f"{found[kind]}/{name}" for name in _FILES[kind]]) if kind in found else ()
