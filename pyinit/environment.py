"""The environment as PID 1 was given it.

What execv(3) passes on, byte for byte, is the C library's own list of strings: oddities such as a name that
stands there twice survive in it, and would not in a mapping. So that list is corrected in place.
"""

import posix

_COERCED = (b"C.UTF-8", b"C.utf8", b"UTF-8")
"""What CPython may set ``LC_CTYPE`` to in the C locale (PEP 538)."""


def restore() -> None:
    """Undo what CPython changed at its start: in the C locale it sets ``LC_CTYPE``.

    Only the kernel still knows what was there before. Where /proc cannot tell: a variable that was not there
    has gone to the end of the list.
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


def name_listener(starter: int) -> None:
    """Rewrite ``LISTEN_PID`` to the calling process where it names `starter`.

    sd_listen_fds(3) takes the sockets only if the variable names the process that asks.
    """
    if posix.environ.get(b"LISTEN_PID") == str(starter).encode():
        posix.putenv(b"LISTEN_PID", str(posix.getpid()).encode())


def _original() -> "list[bytes] | None":
    """The environment as execve(2) was given it; None where /proc cannot tell."""
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
