"""What our memory cgroup tells: its limit, and how many processes were killed for want of memory.

Version 2 has it in ``memory.events``, ``memory.max`` and ``memory.peak`` (cgroup-v2.rst), version 1 in
``memory.oom_control``, ``memory.limit_in_bytes`` and ``memory.max_usage_in_bytes``. The count is of those who
belonged to the cgroup, whoever was out of memory: it itself, one above it, or the machine.
"""

from . import procfs

_FILES = {
    "cgroup2": ("memory.events", "memory.max", "memory.peak"),
    "cgroup": ("memory.oom_control", "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
}
"""By the type of the file system: where kills, limit and peak are told."""

_NO_LIMIT = 1 << 62
"""Version 1 tells of no limit as the highest number there is, rounded down to a page."""


class Memory:
    """The memory cgroup that we are in. What cannot be read is None, and nothing is concluded from it."""

    __slots__ = ("_before", "_files")

    def __init__(self) -> None:
        self._files: "tuple[str, ...]" = _find(
            (procfs.read("/proc/self/mountinfo") or b"").decode("utf-8", "surrogateescape"),
            (procfs.read("/proc/self/cgroup") or b"").decode("utf-8", "surrogateescape"),
        )
        # A container's cgroup is new, another's is not: what has happened before is none of ours.
        self._before = self._count()

    def kills(self) -> "int | None":
        """How many processes of the cgroup were killed for want of memory since we are here."""
        now = self._count()
        return None if now is None or self._before is None else max(0, now - self._before)

    def limit(self) -> "int | None":
        """In bytes; None if there is none."""
        limit = self._number(1)
        return None if limit is None or limit >= _NO_LIMIT else limit

    def peak(self) -> "int | None":
        """The most that was ever in use, in bytes."""
        return self._number(2)

    def _count(self) -> "int | None":
        for line in self._read(0).splitlines():
            key, _, value = line.partition(b" ")
            if key == b"oom_kill":
                return _integer(value)
        return None

    def _number(self, index: int) -> "int | None":
        return _integer(self._read(index).strip())  # None for "max"

    def _read(self, index: int) -> bytes:
        return procfs.read(self._files[index]) or b"" if self._files else b""


def _integer(text: bytes) -> "int | None":
    return int(text) if text.isdigit() and len(text) <= 20 else None


def _unescaped(path: str) -> str:
    """A path of mountinfo, where blanks and backslashes are escapes (proc_pid_mountinfo(5))."""
    for escape, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(escape, char)
    return path


def _find(mounts: str, memberships: str) -> "tuple[str, ...]":
    """The paths of the three files, as /proc/self/mountinfo and /proc/self/cgroup tell; none where they do not."""
    paths = {}
    for line in memberships.split("\n"):  # and at nothing else: a folder may be called anything
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
        else:  # a container whose own cgroup is mounted, while its path is told from somewhere else
            found.setdefault(kinds[0], point)
    kind = "cgroup" if "cgroup" in found else "cgroup2"  # where both are mounted, version 1 has the memory controller
    return tuple([f"{found[kind]}/{name}" for name in _FILES[kind]]) if kind in found else ()
