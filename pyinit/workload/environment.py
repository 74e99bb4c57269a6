"""The environment as PID 1 was given it.

The C library keeps it as a list of strings, which execv(3) passes on byte for byte. It is corrected in place here: a
mapping would lose what a list may hold, a name that occurs twice, or a string without ``=``.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LISTENER = b"LISTEN_PID"
"""Names the process that sockets were passed to (sd_listen_fds(3))."""

LISTENER_ID = b"LISTEN_PIDFDID"
"""The same by another number, since systemd 258, which no child can be given. Without it ``LISTEN_PID`` counts."""

_NAMES_A_PROCESS = (LISTENER, b"WATCHDOG_PID", b"SYSTEMD_EXEC_PID")
"""See sd_watchdog_enabled(3) and systemd.exec(5) for the others."""

_COERCED = (b"C.UTF-8", b"C.utf8", b"UTF-8")
"""What CPython may set ``LC_CTYPE`` to in the C locale (PEP 538)."""

_DEFAULT_PATH = b"/bin:/usr/bin"
"""Where execvp(3) looks without ``PATH``."""


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


def naming(pid: int, environ: "Mapping[bytes, bytes]" = posix.environ) -> "list[bytes]":
    """The variables that name process `pid`, and which a program heeds only if they name it: not its parent."""
    return [name for name in _NAMES_A_PROCESS if environ.get(name) == str(pid).encode()]


def name_caller(variables: "list[bytes]") -> None:
    """Have these variables name the calling process."""
    for variable in variables:
        posix.putenv(variable, str(posix.getpid()).encode())
    if LISTENER in variables:
        posix.unsetenv(LISTENER_ID)


def candidates(program: bytes) -> "list[bytes]":
    """The paths at which execvp(3) looks for a program."""
    if b"/" in program:
        return [program]
    folders = posix.environ.get(b"PATH", _DEFAULT_PATH).split(b":") if program else ()
    return [folder + b"/" + program if folder else program for folder in folders]


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
