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
"""Signals at a time."""
LAST = 3
"""Signals, one after the other, that bring out what was held back."""

NUMBERS = [number for number in CAUGHT if is_real_time(number)]
LINES = 2
"""Lines for each of them: that it woke pyinit, and where it went."""

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
"""Each with our end first."""


def run(setting: Setting) -> Counts:
    """Flood PID 1 with signals, and have it tell of each at `-vvv`, while whoever reads that stalls: a pipe, a socket
    and a terminal that nobody reads for a while, and then somebody in fits and starts; readers that go, a terminal
    that hangs up, a device that is full.

    Every signal arrives all the same. The lines that were written are whole, and together with those that were
    dropped, which the log and `pyinitctl status` count alike, they are all there have been.
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
    """pyinit with that stderr, which is closed on our side."""
    try:
        namespace = Namespace(setting, ["-vvv", *options], Hearing.command(setting, 0), stderr=stderr)
    finally:
        os.close(stderr)
    with namespace:
        namespace.hear()
        yield namespace, Hearing(setting, namespace)


def _flood(hearing: Hearing, count: int = FLOOD) -> int:
    """Send as many signals at once, and wait until they have arrived; return how many there have been by now."""
    hearing.send(False, count, 0, NUMBERS)
    hearing.await_senders()
    return hearing.await_arrival()


def _stall(setting: Setting, pair: Callable[[], Ends]) -> Counts:
    """Nobody reads; then somebody does, in fits and starts; then to the end."""
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
        total = 1 + LINES * heard  # that the workload was started is the first one
        seen = namespace.await_status(hearing.is_told, "all signals")
        if not dropped == seen["log_lines_dropped"] == total - written:
            raise Broken(
                f"of {total} lines {written} were read; the log says that {dropped} were dropped, "
                f"pyinitctl says {seen['log_lines_dropped']}"
            )
        if not dropped:
            raise Broken("no line was dropped, so nothing has stalled")
        namespace.check_growth(before)
        namespace.finish(9)
    return Counts(signals=heard, faults=2, **{"lines dropped": dropped, "lines read": written})


def _go_away(setting: Setting, pair: Callable[[], Ends]) -> Counts:
    """The reader goes in the middle of a flood: EPIPE, or EIO where a terminal has hung up."""
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
        seen = namespace.await_status(hearing.is_told, "all signals")
        if seen["log_lines_dropped"] < LINES * FLOOD:
            raise Broken(f"with nobody to read {LINES * FLOOD} lines, {seen['log_lines_dropped']} were dropped")
        namespace.check_growth(before)
        namespace.finish(9)
    return Counts(signals=heard, faults=1, **{"lines dropped": seen["log_lines_dropped"]})


def _fill_device(setting: Setting) -> Counts:
    """ENOSPC on each line."""
    with _flooded(setting, os.open("/dev/full", os.O_WRONLY), []) as (namespace, hearing):
        heard = _flood(hearing)
        before = namespace.measure()
        heard = _flood(hearing)
        seen = namespace.await_status(hearing.is_told, "all signals")
        if seen["log_lines_dropped"] != 1 + LINES * heard:
            raise Broken(f"of {1 + LINES * heard} lines {seen['log_lines_dropped']} were dropped on a full device")
        namespace.check_growth(before)
        namespace.finish(9)
    return Counts(signals=heard, faults=1, **{"lines dropped": seen["log_lines_dropped"]})


class _Reader:
    """Reads what is written, as long as its gate is open."""

    def __init__(self, source: int) -> None:
        self._source = source
        self.text = bytearray()
        self.gate = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        with suppress(OSError):  # EIO: the last one at the other side of a terminal has gone
            while self.gate.wait() and (data := os.read(self._source, 4096)):
                self.text += data

    def await_rest(self) -> None:
        """Return when nothing has come for a moment, and the last line is whole."""
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
    """How many events were written, and how many lines those say were dropped of which the log tells.

    Raises:
        Broken: a line is none that pyinit writes.
    """
    written = dropped = 0
    for line in text.decode(errors="replace").splitlines():
        if is_json:
            try:
                record = json.loads(line)
            except ValueError:
                raise Broken(f"no whole line: {line!r}") from None
            count = record["lines"] if record["event"] == "dropped" else None
        else:
            found = TEXT.fullmatch(line)
            if not found:
                raise Broken(f"no whole line: {line!r}")
            count = found["dropped"]
        written += count is None
        dropped += int(count or 0)
    return written, dropped
