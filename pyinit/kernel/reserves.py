"""What PID 1 falls back on when a workload has taken its descriptors, its memory (prlimit(2)) or its modules away."""

import errno
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from os import DirEntry
    from typing import TypeVar

    Result = TypeVar("Result")

_NOEXEC_SEAL = 8
"""``MFD_NOEXEC_SEAL`` of Linux 6.3 and later, where a setting may refuse a memfd without it (memfd_create(2))."""

_may_close_stdin = False

_stdin = ""
"""What descriptor 0 was before we gave it up."""

_address_space = [bytes(8 << 20)]
"""Room for a few of the arenas, of a mebibyte each, in which CPython allocates. It is never touched, and so takes no
memory."""


def allow_giving_up_stdin() -> None:
    """Allow the functions below to close descriptor 0.

    Call this once the workload runs and has its own copy, and only if descriptor 0 is the standard input that this
    process was started with: where that was closed, the log or the counters may have got the number.
    """
    global _may_close_stdin
    _may_close_stdin = True


def standard_input() -> str:
    """Our standard input, as the link in /proc/self/fd names it, also after we have given it up; empty if unknown."""
    try:
        return _stdin or posix.readlink("/proc/self/fd/0")
    except OSError:  # not reached: no /proc, or standard input is closed
        return ""


def release_memory() -> bool:
    """Return the address space to the system, once; False if that was done before."""
    if not _address_space:
        return False
    _address_space.clear()
    return True


def open_memfd(name: str) -> int:
    """Open a file in memory that every user may read; it needs to be done before descriptors may run out.

    Raises:
        OSError: the kernel, a sandbox or the limit on descriptors refuses it.
        AttributeError: the interpreter was built without.
    """
    try:
        fd = posix.memfd_create(name, posix.MFD_CLOEXEC | _NOEXEC_SEAL)
    except OSError:
        fd = posix.memfd_create(name, posix.MFD_CLOEXEC)
    posix.fchmod(fd, 0o444)
    return fd


def copy_modules() -> None:
    """Read modules from a copy of the compiled file in memory (`loader.Finder`): ``cp`` writes into a file that exists.

    If that is refused, they are read from the file, as before.
    """
    copy = -1
    try:
        file = sys.meta_path[0].file  # type: ignore[attr-defined]
        size = posix.fstat(file).st_size
        copy = open_memfd("pyinit-modules")
        if posix.sendfile(copy, file, 0, size) == size:
            posix.dup2(copy, file, inheritable=False)
    except (OSError, AttributeError):  # refused; or there are sources, all of which are loaded
        pass
    if copy >= 0:
        posix.close(copy)


def open_file(path: str, flags: int, mode: int = 0) -> int:
    """Open a file as open(2) does, close-on-exec. If no descriptor is left and it is allowed, give up standard input.

    Descriptor 0 is then free for one file at a time, so close each file before the next. Closing any other descriptor
    would not help: RLIMIT_NOFILE limits the number of a new descriptor, not how many there are (getrlimit(2)).

    Raises:
        OSError: as open(2); EMFILE if giving up standard input is not allowed or was not enough.
    """
    return _with_room(lambda: posix.open(path, flags | posix.O_CLOEXEC, mode))


def list_folder(path: str) -> "list[str]":
    """The names of the entries of a folder; descriptors and errors as with `open_file`.

    opendir(3) allocates memory: where there is none for it, this calls `release_memory`.
    """
    return _with_room(lambda: posix.listdir(path))


def scan_folder(path: str) -> "AbstractContextManager[Iterator[DirEntry[str]]]":
    """The same one entry at a time. The folder takes a descriptor until this context manager is left."""
    return _with_room(lambda: posix.scandir(path))


def _with_room(call: "Callable[[], Result]") -> "Result":
    global _may_close_stdin, _stdin
    try:
        return call()
    except OSError as error:
        if error.errno == errno.ENOMEM and release_memory():
            return call()  # not reached: memory has to run out in this very call
        if error.errno != errno.EMFILE or not _may_close_stdin:
            raise
    _stdin = standard_input()
    _may_close_stdin = False  # once: whatever has the number later is not standard input
    try:
        posix.close(0)
    except OSError:  # not reached: EBADF, it was closed before
        pass
    return call()
