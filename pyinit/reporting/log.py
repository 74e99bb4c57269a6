"""Lines on standard error that never block.

Whoever reads our standard error may stop reading, and PID 1 must not wait for them. A non-blocking write
needs ``O_NONBLOCK``, but that flag belongs to the open file description, which the workload shares and which
is not ours to change. What serves instead depends on what descriptor 2 is:

========================  ==========================================================================
a pipe or FIFO            opened anew through ``/proc/self/fd/2``: a description of our own, with
                          ``O_NONBLOCK``. Where that is refused (no /proc, another user's pipe), a
                          pipe of our own and splice(2), which has a flag for not blocking.
a terminal                opened anew, or else ``/dev/tty`` where it is the same terminal. A
                          terminal stopped with Ctrl-S blocks like a full pipe.
a socket                  cannot be opened anew (ENXIO); send(2) has a flag for not blocking. This
                          alone needs an extension module, loaded when such a line is first written.
a file, anything else     written as it is: nobody's reading is waited for. (A description of our own
                          would have its own offset, and lines would overwrite each other.)
========================  ==========================================================================

pwritev2(2) with ``RWF_NOWAIT`` would serve pipes and sockets alike, but only from Linux 6.4 on.
A line that does not fit is dropped and counted, and the next one that fits is preceded by the count.
"""

import _stat as stat
import posix
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Field = str | int | float | list[str] | None
    Write = Callable[[bytes], int]

ERROR, WARNING, INFO, DEBUG, TRACE = range(5)
NAMES = ("error", "warning", "info", "debug", "trace")

_OWN = posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
_SPLICE_F_NONBLOCK = 2
_MSG_DONTWAIT = 0x40
_MSG_NOSIGNAL = 0x4000


class Log:
    """Where the lines go. Opens nothing before the first line."""

    __slots__ = ("_json", "_messages", "_mode", "_prefixes", "_rest", "_write", "dropped", "level", "lost")

    def __init__(
        self,
        level: int = WARNING,
        json: bool = False,
        prefixes: "tuple[str, ...]" = ("pyinit: ",) * 5,
        messages: "Mapping[str, str] | None" = None,
    ) -> None:
        """Events up to `level` are written, as text or as a JSON object a line.

        A line of text starts with the level's prefix. An event that is among the `messages` is told in those words,
        with its fields filled in. (In both, ``{init}`` is our own pid.)
        """
        self.level = level
        self._prefixes = prefixes
        self._messages = messages or {}
        try:
            self._mode = posix.fstat(2).st_mode
        except OSError:  # closed: whatever gets this number later is not for log lines
            self._mode = 0
        self._json = json
        self._write: "Write | None" = None
        self._rest = b""
        self.dropped = 0
        """How many lines have been dropped and not been told of."""
        self.lost = 0
        """How many have been dropped."""

    def error(self, event: str, message: str, **fields: "Field") -> None:
        self._log(ERROR, event, message, fields)

    def warning(self, event: str, message: str, **fields: "Field") -> None:
        self._log(WARNING, event, message, fields)

    def info(self, event: str, message: str, **fields: "Field") -> None:
        self._log(INFO, event, message, fields)

    def debug(self, event: str, message: str, **fields: "Field") -> None:
        self._log(DEBUG, event, message, fields)

    def trace(self, event: str, message: str, **fields: "Field") -> None:
        self._log(TRACE, event, message, fields)

    def _log(self, level: int, event: str, message: str, fields: "dict[str, Field]") -> None:
        if level > self.level:
            return
        try:
            line = self.line(level, event, message, fields)
        except MemoryError:
            self._drop()
        else:
            self.write(line)

    def line(self, level: int, event: str, message: str, fields: "dict[str, Field]") -> bytes:
        """An event as it is written, in the format that was chosen."""
        if not self._json:
            form = self._messages.get(event, self._prefixes[level] + "{message}")
            return f"{printable(form.format_map({**fields, 'message': message, 'init': posix.getpid()}))}\n".encode()
        message = printable(message)
        now = time.time()
        utc = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        pairs: "dict[str, Field]" = {
            "time": f"{utc}.{int(now % 1 * 1000):03d}Z",
            "level": NAMES[level],
            "event": event,
            "message": message,
            **fields,
        }
        return ("{" + ", ".join([f"{quoted(key)}: {quoted(value)}" for key, value in pairs.items()]) + "}\n").encode()

    def write(self, line: bytes) -> None:
        """Write a line, whatever the verbosity; count it if that cannot be done now."""
        try:
            if self.dropped:
                lost = f"{self.dropped} log lines were dropped: they could not be written"
                self._put(self.line(WARNING, "dropped", lost, {"lines": self.dropped}))
                self.dropped = 0
            self._put(line)
        except (OSError, MemoryError):
            self._drop()

    def _drop(self) -> None:
        self.dropped += 1
        self.lost += 1

    def _put(self, line: bytes) -> None:
        """Write a line.

        Raises:
            OSError: it did not fit, and nothing of it was written.
        """
        if self._write is None:
            self._write = self._open()
        while self._rest:
            written = self._write(self._rest)
            if not written:
                raise BlockingIOError
            self._rest = self._rest[written:]
        self._rest = line[self._write(line) :]  # what a terminal or socket had no room for goes first next time

    def _open(self) -> "Write":
        """Find a way of writing to descriptor 2 that cannot block.

        Raises:
            OSError: there is none, or none now: a FIFO may find a reader again (ENXIO).
        """
        mode = self._mode
        if not mode:
            raise OSError("standard error was closed")
        if stat.S_ISFIFO(mode):
            try:
                return self._reopen("/proc/self/fd/2")
            except (PermissionError, FileNotFoundError):
                return _splice
        if stat.S_ISSOCK(mode):
            return self._send()
        if stat.S_ISCHR(mode) and posix.isatty(2):
            try:
                return self._reopen("/proc/self/fd/2")
            except (PermissionError, FileNotFoundError):
                posix.tcgetpgrp(2)  # fails unless it is our controlling terminal, the one that /dev/tty opens
                return self._reopen("/dev/tty")
        return lambda line: posix.write(2, line)

    def _reopen(self, path: str) -> "Write":
        own = posix.open(path, _OWN)
        return lambda line: posix.write(own, line)

    def _send(self) -> "Write":
        try:
            import _socket
        except ImportError as error:  # an interpreter without it: no line is better than one that blocks
            raise OSError(str(error)) from None
        connection = _socket.socket(fileno=posix.dup(2))  # it closes its descriptor when it goes: not 2 itself
        return lambda line: connection.send(line, _MSG_DONTWAIT | _MSG_NOSIGNAL)


def printable(text: str) -> str:
    """The text on one line, with what could forge a line or drive a terminal written as an escape.

    Names come from the workload, and the workload may be hostile.
    """
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _escape(ord(char)) for char in text])


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8 (PEP 383)
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def quoted(value: "Field") -> str:
    """The value as JSON, in characters that can do no harm (`printable`)."""
    if isinstance(value, str):
        return '"' + printable(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join([quoted(item) for item in value]) + "]"
    return "null" if value is None else str(value)


def _splice(line: bytes) -> int:
    """Write to the pipe at descriptor 2 by way of a pipe of our own; splice(2) can be told not to wait."""
    source, sink = posix.pipe2(_OWN & ~posix.O_WRONLY & ~posix.O_NOCTTY)
    try:
        size = posix.write(sink, line)
        return posix.splice(source, 2, size, flags=_SPLICE_F_NONBLOCK)
    finally:
        posix.close(source)
        posix.close(sink)
