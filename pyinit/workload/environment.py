"""The environment as PID 1 was given it.

The C library keeps it as a list of strings, which execv(3) passes on byte for byte. It is corrected in place here: a
mapping would lose what a list may hold, a name that occurs twice, or a string without ``=``.
"""

import posix

_COERCED = (b"C.UTF-8", b"C.utf8", b"UTF-8")
"""What CPython may set ``LC_CTYPE`` to in the C locale (PEP 538)."""


def restore() -> None:
    """Undo what CPython changed at its start: in the C locale it sets ``LC_CTYPE``.

    Only the kernel still knows what was there before. Without /proc: a variable that CPython has added is the last in
    the list.
    """
    variables = posix.environ
    if variables.get(b"LC_CTYPE") not in _COERCED or variables.get(b"LC_ALL"):
        return
    original = _original()
    before = [entry[9:] for entry in original or () if entry[:9] == b"LC_CTYPE="]
    if before:
        posix.putenv(b"LC_CTYPE", before[0])
    elif original is not None or next(reversed(variables)) == b"LC_CTYPE":
        posix.unsetenv(b"LC_CTYPE")


def names_listener(pid: int) -> bool:
    """Whether ``LISTEN_PID`` names `pid`: sockets have been passed, for it alone (sd_listen_fds(3))."""
    return posix.environ.get(b"LISTEN_PID") == str(pid).encode()


def name_listener() -> None:
    """Have ``LISTEN_PID`` name the calling process.

    ``LISTEN_PIDFDID``, which systemd 258 and later add, names pyinit, too; a listener without it goes by
    ``LISTEN_PID``.
    """
    posix.putenv(b"LISTEN_PID", str(posix.getpid()).encode())
    posix.unsetenv(b"LISTEN_PIDFDID")


def _original() -> "list[bytes] | None":
    """The environment as execve(2) was given it; None without /proc."""
    parts = []
    try:
        fd = posix.open("/proc/self/environ", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            while part := posix.read(fd, 65536):
                parts.append(part)
        finally:
            posix.close(fd)
    except OSError:
        return None
    return b"".join(parts).split(b"\0")
