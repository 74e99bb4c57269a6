"""Record locks that came with inherited descriptors (fcntl(2)); loaded only if there are such descriptors."""

import posix

from ..kernel import procfs


def holding(fds: "list[int]") -> "set[int]":
    """Those of our descriptors that may not be closed: of a file on which we hold a record lock.

    /proc/locks names a file by numbers that overlayfs and btrfs do not show in stat(2), fdinfo by its descriptor; but
    only by the one that the lock was taken through (proc_pid_fdinfo(5)). Without /proc no lock is known.
    """
    locked = {file for fd in fds if (file := _file(fd)) and _is_locked(fd)}
    return {fd for fd in fds if _file(fd) in locked} if locked else set()


def _is_locked(fd: int) -> bool:
    """Whether we took a record lock through this descriptor."""
    lines = (procfs.read(f"/proc/self/fdinfo/{fd}") or b"").splitlines()
    return any(line.startswith(b"lock:") and b" POSIX " in line for line in lines)


def _file(fd: int) -> "tuple[int, int] | None":
    """What is unique to the file of a descriptor."""
    try:
        found = posix.fstat(fd)
    except OSError:  # not reached: a network file system that has gone away
        return None
    return found.st_dev, found.st_ino
