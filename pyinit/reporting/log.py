"""Lines on standard error that never block.

The reader of our standard error may stop reading, and PID 1 must not wait for it. A non-blocking write needs
``O_NONBLOCK``, but that flag belongs to the open file description, which the workload shares and which is not ours to
change. What serves instead depends on what descriptor 2 is:

========================  ==========================================================================
a pipe or FIFO            opened anew through ``/proc/self/fd/2``: a description of our own, with
                          ``O_NONBLOCK``. Where that is refused (no /proc, another user's pipe), a
                          pipe of our own and splice(2), which has a flag for not blocking.
a terminal                opened anew, or else ``/dev/tty`` where it is the same terminal. A
                          terminal stopped with Ctrl-S blocks like a full pipe.
a socket                  cannot be opened anew (ENXIO); send(2) has a flag for not blocking. This
                          takes a module that is not built into every interpreter.
a file, anything else     written as it is: nobody has to read it. (A description of our own would
                          have its own offset, and lines would overwrite each other.)
========================  ==========================================================================

pwritev2(2) with ``RWF_NOWAIT`` would serve pipes and sockets alike, but only from Linux 6.4 on.
A line that does not fit is dropped and counted, and the next one that fits is preceded by the count.
The way is found once, before the workload exists, which may take our free descriptors away (prlimit(2)).
"""

import _stat as stat
import posix
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Value = str | int | float | None
    Field = Value | list[str] | list[dict[str, Value]]
    Write = Callable[[bytes], int]

ERROR, WARNING, INFO, DEBUG, TRACE = range(5)
NAMES = ("error", "warning", "info", "debug", "trace")

_OWN = posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
_SPLICE_F_NONBLOCK = 2
_MSG_DONTWAIT = 0x40
_MSG_NOSIGNAL = 0x4000

_MOST_REMEMBERED = 100
"""How many warnings are remembered as written. Later ones are taken for new."""


class Log:
    """Where the lines go."""

    __slots__ = ("_json", "_mode", "_own", "_rest", "_warned", "_write", "dropped", "level", "lost")

    def __init__(self, level: int = WARNING, json: bool = False) -> None:
        """Write events up to `level`, as text or as one JSON object a line."""
        self.level = level
        self._json = json
        try:
            self._mode = posix.fstat(2).st_mode
        except OSError:  # closed: whatever gets this number later is not for log lines
            self._mode = 0
        self._own = -1
        """Our own description of standard error; -1 if there is none."""
        self._rest = b""
        """What there was no room for: a terminal or a socket takes part of a line, and a pipe does of one longer than
        ``PIPE_BUF`` (pipe(7))."""
        self._warned: "set[str]" = set()
        self.dropped = 0
        """How many lines have been dropped since the last one that was written."""
        self.lost = 0
        """How many have been dropped in all."""
        self._write: "Write" = self._find_later
        try:
            self._write = self._find_way()
        except OSError:
            pass

    def close(self) -> None:
        """Close standard error, and standard output with it. No line is written from now on."""
        self.level = -1
        for number in (1, 2, self._own):
            try:
                posix.close(number)
            except OSError:  # not reached: it is closed, or there is none
                pass

    def error(self, event: str, message: str, **fields: "Field") -> None:
        self._log(ERROR, event, message, fields)

    def warning(self, event: str, message: str, **fields: "Field") -> None:
        self._log(WARNING, event, message, fields)

    def warn_once(self, event: str, message: str, about: str = "", **fields: "Field") -> None:
        """A warning that may recur: written the first time, by its message or by what it is `about`."""
        about = about or message
        if about not in self._warned:
            if len(self._warned) < _MOST_REMEMBERED:
                self._warned.add(about)
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
        except MemoryError:  # not reached: memory has to run out in this very call
            self._drop()
        else:
            self.write(line)

    def line(self, level: int, event: str, message: str, fields: "dict[str, Field]") -> bytes:
        """An event as it is written, in the format that was chosen."""
        message = printable(message)
        if not self._json:
            return f"pyinit: {message}\n".encode()
        now = time.time()
        utc = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        pairs: "dict[str, Field]" = {
            "time": f"{utc}.{int(now % 1 * 1000):03d}Z",
            "level": NAMES[level],
            "event": event,
            "message": message,
            **fields,
        }
        return f"{quoted(pairs)}\n".encode()

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
        while self._rest:
            written = self._write(self._rest)
            if not written:
                raise BlockingIOError  # not reached: a line has to fit in part, and the rest not at all
            self._rest = self._rest[written:]
        self._rest = line[self._write(line) :]

    def _find_later(self, line: bytes) -> int:
        """Look for a way again: a FIFO may find a reader."""
        self._write = self._find_way()
        return self._write(line)  # not reached: a FIFO has to find a reader at last

    def _find_way(self) -> "Write":
        """Find a way of writing to descriptor 2 that cannot block.

        Raises:
            OSError: there is none, or none now: nobody has a FIFO open for reading (ENXIO).
        """
        mode = self._mode
        if not mode:
            raise OSError("standard error was closed")
        if stat.S_ISFIFO(mode):
            try:
                return self._reopen("/proc/self/fd/2")
            except (PermissionError, FileNotFoundError):
                return _splicing()
        if stat.S_ISSOCK(mode):
            return _sending()
        if stat.S_ISCHR(mode) and posix.isatty(2):
            try:
                return self._reopen("/proc/self/fd/2")
            except (PermissionError, FileNotFoundError):  # not reached: a terminal of another user's: container tests
                posix.tcgetpgrp(2)  # fails unless it is our controlling terminal, the one that /dev/tty opens
                return self._reopen("/dev/tty")
        return lambda line: posix.write(2, line)

    def _reopen(self, path: str) -> "Write":
        own = self._own = posix.open(path, _OWN)
        return lambda line: posix.write(own, line)


def _sending() -> "Write":
    """A way for a socket.

    Raises:
        OSError: an interpreter without sockets. Losing lines is better than blocking.
    """
    try:
        import _socket
    except ImportError as error:  # not reached: takes an interpreter without sockets
        raise OSError(str(error)) from None
    connection = _socket.socket(fileno=posix.dup(2))  # it closes its descriptor when it is freed: not 2 itself
    return lambda line: connection.send(line, _MSG_DONTWAIT | _MSG_NOSIGNAL)


def _splicing() -> "Write":
    """A way for a pipe that cannot be opened anew: a pipe of our own, which is empty between two lines.

    Raises:
        OSError: there can be no pipe.
    """
    source, sink = posix.pipe2(posix.O_NONBLOCK | posix.O_CLOEXEC)

    def write(line: bytes) -> int:
        size = posix.write(sink, line)
        moved = 0
        try:
            moved = posix.splice(source, 2, size, flags=_SPLICE_F_NONBLOCK)
        finally:
            if moved < size:
                posix.read(source, size - moved)
        return moved

    return write


def reason(error: BaseException) -> str:
    """Why something failed: in words, or as it is in a program if nobody has foreseen that."""
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, (OSError, ImportError)):
        return getattr(error, "strerror", None) or str(error) or repr(error)
    return repr(error)


def printable(text: str) -> str:
    """The text on one line, with what could forge a line or drive a terminal written as an escape.

    Names come from the workload, which may be hostile.
    """
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _escape(ord(char)) for char in text])


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8 (PEP 383)
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def quoted(value: "Field | dict[str, Value] | dict[str, Field]") -> str:
    """The value as JSON, with escapes for what could do harm (`printable`)."""
    if isinstance(value, str):
        return '"' + printable(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join([quoted(item) for item in value]) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join([f"{quoted(key)}: {quoted(item)}" for key, item in value.items()]) + "}"
    return "null" if value is None else str(value)
