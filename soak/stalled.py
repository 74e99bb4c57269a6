"""Readers of the log that stall."""

import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from pyinit.kernel.signals import CAUGHT
from soak.fault import Broken, Counts, Setting
from soak.hearing import Hearing, is_real_time
from soak.namespace import Namespace
from testing.waiting import eventually

NAME = "readers of the log that stall"

FLOOD = 3000
"""Signals of one flood."""
LAST = 3
"""Signals sent one by one at the end, so that pyinit logs how many lines it has dropped."""

NUMBERS = [number for number in CAUGHT if is_real_time(number)]
LINES = 2
"""Log lines for each signal: that it woke pyinit, and that it was forwarded."""

TEXT = re.compile(
    r"pyinit: (started .+ as pid \d+"
    r"|woken by SIGRTM(IN|AX)([+-]\d+)?"
    r"|SIGRTM(IN|AX)([+-]\d+)? from outside the container( \(as the sender says\))?, forwarded to child"
    r"|(?P<dropped>\d+) log lines were dropped: they could not be written)"
)

Ends = tuple[int, int]


def _socket_pair() -> Ends:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


PLACES: dict[str, Callable[[], Ends]] = {"pipe": os.pipe, "socket": _socket_pair, "terminal": os.openpty}
"""Each returns our end first."""


def run(setting: Setting) -> Counts:
    """Flood PID 1 with signals, which it logs at `-vvv`, while the reader of the log stalls. The log is a pipe, a
    socket or a terminal that is not read for a while, and then read at irregular intervals. Or the reader exits, the
    terminal hangs up, or the log is a full device.

    Every signal arrives. All lines that were written are complete. The log and `pyinitctl status` agree on the number
    of dropped lines, and written and dropped lines add up to all lines.
    """
    counts = Counts()
    for place, pair in PLACES.items():
        for outcome in (_stall, _go_away):
            folder = setting.folder / f"{place}{outcome.__name__}"
            folder.mkdir()
            counts += outcome(replace(setting, folder=folder), pair)
    return counts + _fill_device(setting)


@contextmanager
def _flooded(setting: Setting, stderr: int, options: list[str]) -> Iterator[tuple[Namespace, Hearing]]:
    """Run pyinit with this stderr, and close our copy of it."""
    try:
        namespace = Namespace(setting, ["-vvv", *options], Hearing.command(setting, 0), stderr=stderr)
    finally:
        os.close(stderr)
    with namespace:
        namespace.hear()
        yield namespace, Hearing(setting, namespace)


def _flood(hearing: Hearing, count: int = FLOOD) -> int:
    """Send `count` signals at once, wait until they have arrived, and return how many have arrived since the start."""
    hearing.send(False, count, 0, NUMBERS)
    hearing.await_senders()
    return hearing.await_arrival()


def _stall(setting: Setting, pair: Callable[[], Ends]) -> Counts:
    """Do not read the log at first; then read it at irregular intervals; then read all of it."""
    chance = setting.chance
    is_json = chance.random() < 0.5
    ours, theirs = pair()
    options = ["--log-format=json"] if is_json else []
    with _Reader(ours) as reader, _flooded(setting, theirs, options) as (namespace, hearing):
        _flood(hearing)
        before = namespace.measure()
        hearing.send(False, FLOOD, 20, NUMBERS)
        for _ in range(chance.randint(3, 20)):
            reader.gate.set()
            time.sleep(chance.uniform(0, 0.01))
            reader.gate.clear()
            time.sleep(chance.uniform(0, 0.01))
        hearing.await_senders()
        hearing.await_arrival()
        reader.gate.set()
        reader.await_rest()
        for _ in range(LAST):
            heard = _flood(hearing, 1)
            reader.await_rest()
        namespace.await_rest()
        written, dropped = _lines(bytes(reader.text), is_json)
        total = 1 + LINES * heard  # the first line says that the workload was started
        seen = namespace.await_status(hearing.is_reported, "all signals")
        if not dropped == seen["log_lines_dropped"] == total - written:
            raise Broken(
                f"of {total} lines {written} were read; the log says that {dropped} were dropped, "
                f"pyinitctl says {seen['log_lines_dropped']}"
            )
        if not dropped:
            raise Broken("no line was dropped, so the reader did not stall")
        namespace.check_growth(before)
        namespace.finish(9)
    return Counts(signals=heard, faults=2, **{"lines dropped": dropped, "lines read": written})


def _go_away(setting: Setting, pair: Callable[[], Ends]) -> Counts:
    """Close the reading end in the middle of a flood: EPIPE, or EIO from a terminal that has hung up."""
    ours, theirs = pair()
    with _flooded(setting, theirs, []) as (namespace, hearing):
        try:
            hearing.send(False, FLOOD, 10, NUMBERS)
            time.sleep(setting.chance.uniform(0, 0.05))
        finally:
            os.close(ours)
        hearing.await_senders()
        hearing.await_arrival()
        before = namespace.measure()
        heard = _flood(hearing)
        seen = namespace.await_status(hearing.is_reported, "all signals")
        if seen["log_lines_dropped"] < LINES * FLOOD:
            raise Broken(f"of {LINES * FLOOD} lines without a reader only {seen['log_lines_dropped']} were dropped")
        namespace.check_growth(before)
        namespace.finish(9)
    return Counts(signals=heard, faults=1, **{"lines dropped": seen["log_lines_dropped"]})


def _fill_device(setting: Setting) -> Counts:
    """Log to a full device: ENOSPC for each line."""
    with _flooded(setting, os.open("/dev/full", os.O_WRONLY), []) as (namespace, hearing):
        heard = _flood(hearing)
        before = namespace.measure()
        heard = _flood(hearing)
        seen = namespace.await_status(hearing.is_reported, "all signals")
        if seen["log_lines_dropped"] != 1 + LINES * heard:
            raise Broken(f"of {1 + LINES * heard} lines {seen['log_lines_dropped']} were dropped on a full device")
        namespace.check_growth(before)
        namespace.finish(9)
    return Counts(signals=heard, faults=1, **{"lines dropped": seen["log_lines_dropped"]})


class _Reader:
    """Reads the log while its gate is open."""

    def __init__(self, source: int) -> None:
        self._source = source
        self.text = bytearray()
        self.gate = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        with suppress(OSError):  # EIO: the other side of the terminal was closed
            while self.gate.wait() and (data := os.read(self._source, 4096)):
                self.text += data

    def await_rest(self) -> None:
        """Wait until nothing has been written for a moment, and the last line is complete."""
        before = -1

        def is_at_rest() -> bool:
            nonlocal before
            before, last = len(self.text), before
            time.sleep(0.1)
            return last == len(self.text)

        eventually(is_at_rest, "nothing more comes from the log")

    def __enter__(self) -> "_Reader":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.gate.set()
        self._thread.join()
        os.close(self._source)


def _lines(text: bytes, is_json: bool) -> tuple[int, int]:
    """The number of log lines of events, and the number of lines that the log reports as dropped.

    Raises:
        Broken: a line is not complete, or not one that pyinit writes.
    """
    written = dropped = 0
    for line in text.decode(errors="replace").splitlines():
        if is_json:
            try:
                record = json.loads(line)
            except ValueError:
                raise Broken(f"not a complete line: {line!r}") from None
            count = record["lines"] if record["event"] == "dropped" else None
        else:
            found = TEXT.fullmatch(line)
            if not found:
                raise Broken(f"not a complete line: {line!r}")
            count = found["dropped"]
        written += count is None
        dropped += int(count or 0)
    return written, dropped
