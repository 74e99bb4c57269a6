"""Log lines: their format, and that they never block."""

import contextlib
import errno
import json
import os
import pty
import select
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinit.reporting import log as log_module
from pyinit.reporting.log import DEBUG, TRACE, WARNING, Log, printable, reason
from testing.waiting import PATIENCE

PLENTY = 20_000
"""More lines than fit into any pipe, socket or terminal."""


@contextlib.contextmanager
def stderr_as(fd: int) -> Iterator[None]:
    """Make descriptor 2 a copy of `fd` inside the ``with`` block."""
    saved = os.dup(2)
    os.dup2(fd, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def write_lines(count: int, log: Log | None = None) -> Log:
    """Log numbered lines. A watchdog aborts the process if that blocks."""
    log = log or Log()
    watchdog = threading.Timer(PATIENCE, os.abort)
    watchdog.start()
    for number in range(count):
        log.warning("test", f"line {number}")
    watchdog.cancel()
    return log


def read_all(fd: int) -> bytes:
    """Read until nothing has come for a moment."""
    parts = []
    while select.select([fd], [], [], 0.1)[0] and (part := os.read(fd, 65536)):
        parts.append(part)
    return b"".join(parts)


def make_pipe() -> tuple[int, int]:
    """The two ends of a pipe: the reading end first."""
    return os.pipe()


def make_terminal() -> tuple[int, int]:
    """The two ends of a raw pseudo-terminal."""
    ours, theirs = pty.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    return ours, theirs


def make_stream_socket() -> tuple[int, int]:
    """The two ends of a stream socket."""
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def make_datagram_socket() -> tuple[int, int]:
    """The two ends of a datagram socket, as used for syslog."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return ours.detach(), theirs.detach()


CHANNELS = [make_pipe, make_terminal, make_stream_socket, make_datagram_socket]


@pytest.mark.parametrize("make", CHANNELS)
def test_a_reader_that_stalls_does_not_block_and_later_gets_the_number_of_dropped_lines(
    make: Callable[[], tuple[int, int]],
) -> None:
    """Lines that do not fit are dropped and counted. The others are complete and in order."""
    ours, theirs = make()
    tries = 0
    with stderr_as(theirs):
        log = write_lines(PLENTY)
        seen = read_all(ours)
        deadline = time.monotonic() + PATIENCE
        while not seen.endswith(b"pyinit: the reader is back\n"):
            assert time.monotonic() < deadline, seen[-200:]
            if log.dropped:  # a terminal passes its data on piece by piece: there may be no room yet
                log.warning("test", "the reader is back")
                tries += 1
            seen += read_all(ours)
    lines = seen.decode().splitlines()
    assert lines.pop() == "pyinit: the reader is back"
    assert lines[0] == "pyinit: line 0"
    number = 0  # of the next line; a terminal may have room for more lines after it has had none
    for line in lines:
        if line.endswith(" dropped: they could not be written"):
            number += int(line.split()[1])
        else:
            assert line == f"pyinit: line {number}"
            number += 1
    assert number == PLENTY + tries - 1
    assert len(lines) < PLENTY


@pytest.mark.parametrize("make", CHANNELS)
def test_the_flags_of_the_shared_description_are_not_touched(make: Callable[[], tuple[int, int]]) -> None:
    """The workload shares the open file description, so O_NONBLOCK would affect it."""
    _, theirs = make()
    with stderr_as(theirs):
        write_lines(PLENTY)
        assert os.get_blocking(2)
        assert os.get_blocking(theirs)


def test_a_pipe_that_cannot_be_reopened_does_not_block_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """This happens without /proc, or if the pipe belongs to another user."""

    def refuse(self: Log, path: str) -> None:
        raise PermissionError

    monkeypatch.setattr(Log, "_reopen", refuse)
    ours, theirs = make_pipe()
    with stderr_as(theirs):
        log = write_lines(PLENTY)
        fitted = read_all(ours).decode().splitlines()
        log.warning("test", "back")
        assert read_all(ours).decode().endswith("pyinit: back\n")
    assert fitted[:3] == ["pyinit: line 0", "pyinit: line 1", "pyinit: line 2"]


def test_a_terminal_that_can_only_be_reached_as_dev_tty_does_not_block() -> None:
    """This is the case after su(1): the terminal belongs to another user."""
    program = f"""if True:
        import sys; sys.path.insert(0, {str(Path(log_module.__file__).parents[1])!r})
        from pyinit.reporting.log import Log
        def reopen(self, path, original=Log._reopen):
            if path != "/dev/tty": raise PermissionError
            return original(self, path)
        Log._reopen = reopen
        log = Log()
        for number in range({PLENTY}): log.warning("test", "line")
        import os, signal; os.kill(os.getpid(), signal.SIGSTOP)
    """
    pid, ours = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])
    watchdog = threading.Timer(PATIENCE, os.kill, (pid, 9))
    watchdog.start()
    _, status = os.waitpid(pid, os.WUNTRACED)  # stopped, not exited: an exit would hang up and flush the terminal
    watchdog.cancel()
    assert os.WIFSTOPPED(status)
    select.select([ours], [], [], PATIENCE)  # the kernel passes it on in a thread of its own
    assert read_all(ours).startswith(b"pyinit: line\r\n")
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def test_a_file_is_shared_with_the_workload(tmp_path: Path) -> None:
    """Both write at the same offset, so that neither overwrites the other."""
    with (tmp_path / "log").open("wb", buffering=0) as file, stderr_as(file.fileno()):
        log = Log()
        os.write(2, b"workload 1\n")
        log.warning("test", "first")
        os.write(2, b"workload 2\n")
        log.warning("test", "second")
        os.write(2, b"workload 3\n")
    assert (tmp_path / "log").read_text().splitlines() == [
        "workload 1", "pyinit: first", "workload 2", "pyinit: second", "workload 3",
    ]  # fmt: skip


def test_a_full_device_is_not_an_error() -> None:
    """On ENOSPC, lines are dropped and counted."""
    with open("/dev/full", "wb") as full, stderr_as(full.fileno()):
        log = write_lines(3)
    assert log.dropped == 3


def test_a_closed_reading_end_is_not_an_error() -> None:
    """On EPIPE and ENXIO, lines are dropped and counted. (SIGPIPE is blocked in pyinit, and ignored in this test.)"""
    ours, theirs = make_pipe()
    os.close(ours)
    with stderr_as(theirs):
        log = write_lines(3)
    assert log.dropped == 3


def test_a_closed_standard_error_stays_closed() -> None:
    """A file that later gets descriptor 2 is not written to."""
    saved = os.dup(2)
    os.close(2)
    try:
        log = Log()
        ours, theirs = (os.dup(end) for end in os.pipe())
        os.dup2(theirs, 2)
        write_lines(3, log)
        assert read_all(ours) == b""
    finally:
        os.dup2(saved, 2)


def logged(json_format: bool, message: str, **fields: str | int | None) -> str:
    """The text of one line."""
    ours, theirs = os.pipe()
    with stderr_as(theirs):
        log = Log(WARNING, json_format)
        log.warning("event", message, **fields)
    text = read_all(ours).decode()
    os.close(ours)
    os.close(theirs)
    return text


def test_a_json_line_is_one_object() -> None:
    """Each has the time in UTC, the level, the event and the message."""
    record = json.loads(logged(True, 'say "hi" \\ there', pid=7, name=None))
    assert list(record) == ["time", "level", "event", "message", "pid", "name"]
    assert record["time"].endswith("Z") and len(record["time"]) == len("2026-01-01T00:00:00.000Z")
    assert (record["level"], record["event"], record["pid"], record["name"]) == ("warning", "event", 7, None)
    assert record["message"] == 'say "hi" \\ there'


@pytest.mark.slow
@given(text=st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_no_text_can_forge_a_line_or_drive_a_terminal(text: str) -> None:
    """Any process name gives one line of printable characters, in valid UTF-8 and JSON."""
    assert printable(text).isprintable()
    line = logged(False, text)
    assert line.count("\n") == 1 and line.endswith("\n")
    assert logged(True, text, name=text).count("\n") == 1
    assert json.loads(logged(True, "", name=text))["name"] == printable(text)


def test_escapes_are_readable() -> None:
    """They have the usual notation. Bytes that are not UTF-8 are shown as bytes."""
    assert printable("a\nb\x1b[31m\udcff\u2028é") == "a\\x0ab\\x1b[31m\\xff\\u2028é"


def test_levels_above_the_verbosity_are_not_logged() -> None:
    """At each verbosity."""
    ours, theirs = os.pipe()
    with stderr_as(theirs):
        for level in range(TRACE + 1):
            log = Log(level)
            for name in log_module.NAMES:
                getattr(log, name)("event", f"{name} at {level}")
    lines = read_all(ours).decode().splitlines()
    assert len(lines) == 1 + 2 + 3 + 4 + 5
    assert "pyinit: debug at 3" in lines and "pyinit: trace at 3" not in lines
    assert DEBUG == 3


def test_no_file_is_opened_before_the_first_line() -> None:
    """A quiet run costs nothing, and no descriptor gets in the way of the workload's."""
    script = (
        "import os\nfrom pyinit.reporting.log import Log\nbefore = os.listdir('/proc/self/fd')\n"
        "log = Log()\nlog.debug('x', 'y')\nassert os.listdir('/proc/self/fd') == before"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EPERM, "Operation not permitted", "/file"), "Operation not permitted"),
        (OSError("standard error was closed"), "standard error was closed"),
        (BlockingIOError(), "BlockingIOError()"),
        (ModuleNotFoundError("No module named 'pwd'", name="pwd"), "No module named 'pwd'"),
        (MemoryError(), "out of memory"),
        (KeyError("name"), "KeyError('name')"),
    ],
)
def test_a_reason_is_given_in_words(error: Exception, words: str) -> None:
    """Only of an exception that nobody has foreseen the type is told, for the report of the bug."""
    assert reason(error) == words
