"""Compares the signals sent to PID 1 with those its workload received: see programs/listen.c and programs/send.c."""

import random
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyinit.kernel.signals import CAUGHT, CHLD, CONT, TERMINAL_STOPS, name_of, number_of
from soak.fault import Broken, Setting
from soak.namespace import PATIENCE, Namespace
from testing.waiting import eventually


def sendable(chance: random.Random) -> list[int]:
    """Signals that the kernel is sure to deliver when they are sent together.

    SIGCONT discards pending stop signals, and a stop signal discards a pending SIGCONT (signal(7)), so one of the two
    kinds is left out at random. SIGCHLD is left out, since one that is pending for a child absorbs one that is sent.
    """
    without = {CHLD, *chance.choice([(CONT,), TERMINAL_STOPS])}
    return [number for number in CAUGHT if number not in without]


def is_real_time(number: int) -> bool:
    return number >= signal.SIGRTMIN


class Tally:
    """Count of each signal, sent or received, and the time of the last one in nanoseconds of the monotonic clock."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        self.counts: Counter[int] = Counter()
        self.last: dict[int, int] = {}
        self.add(words)

    def add(self, words: Sequence[str]) -> None:
        """Add groups of three figures: signal, count, time of the last."""
        for number, count, last in zip(*[iter(map(int, words))] * 3, strict=True):
            self.counts[number] += count
            self.last[number] = max(last, self.last.get(number, 0))


class Hearing:
    """The workload `listen`, several listeners in one process group, and the senders."""

    def __init__(
        self,
        setting: Setting,
        namespace: Namespace,
        rewrites: Mapping[int, int] | None = None,
        members: int = 0,
        all_hear: bool = False,
        ignored: Sequence[int] = (),
    ) -> None:
        """`rewrites` are those of --rewrite. `all_hear`: all listeners should get the signals. `ignored` signals also
        come from other senders, and are not checked."""
        self._setting = setting
        self._namespace = namespace
        self._rewrites = rewrites or {}
        self._ignored = {*ignored}
        self._members = members
        self._all_hear = all_hear
        self._outside: list[subprocess.Popen[str]] = []
        self._inside = 0
        self.sent = Tally()
        self.expected = Tally()
        """The signals that should be delivered."""
        self.descents = 0
        """How often the workload received a real-time signal after one with a higher number."""

    @staticmethod
    def command(setting: Setting, members: int) -> list[str]:
        """The command line of the workload."""
        return [str(setting.programs / "listen"), str(members)]

    def send(self, is_inside: bool, count: int, pause: int, numbers: Sequence[int]) -> None:
        """Start to send `count` signals, drawn from `numbers`, up to `pause` microseconds apart."""
        words = [str(word) for word in (self._setting.chance.getrandbits(31), count, pause, *numbers)]
        if is_inside:
            self._namespace.say(f"send {' '.join(words)}")
            self._inside += 1
        else:
            command: list[str | Path] = [self._setting.programs / "send", str(self._namespace.init), *words]
            self._outside.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))

    def await_senders(self) -> None:
        """Wait until all senders have finished."""
        for sender in self._outside:
            self._sent(sender.communicate(timeout=PATIENCE)[0])
        for _ in range(self._inside):
            self._sent(self._namespace.hear())
        self._outside, self._inside = [], 0

    def _sent(self, line: str) -> None:
        if not line.startswith("sent"):
            raise Broken(f"a sender failed: {line!r}")
        words = line.split()[1:]
        self.sent.add(words)
        for i in range(0, len(words), 3):
            number = int(words[i])
            if becomes := self._rewrites.get(number, number):
                self.expected.add([str(becomes), *words[i + 1 : i + 3]])

    def await_arrival(self) -> int:
        """Wait until each listener has received its signals; return the total number of signals received.

        Raises:
            Broken: a signal was lost, or arrived too often.
        """
        listeners: list[Tally] = []

        def look() -> str:
            listeners[:] = self._listen()
            return self._missing(listeners)

        eventually(look, "all signals have arrived", holds=lambda missing: not missing, patience=PATIENCE)
        return sum(listener.counts.total() for listener in listeners)

    def _listen(self) -> list[Tally]:
        self._namespace.say("report")
        found = [Tally(self._namespace.hear().split()) for _ in range(self._members + 1)]
        self.descents = int(self._namespace.hear().split()[1])
        return found

    def _missing(self, listeners: Sequence[Tally]) -> str:
        """A signal that has not arrived yet, as text; empty if all have arrived.

        Raises:
            Broken: a signal arrived too often.
        """
        missing = ""
        for i, listener in enumerate(listeners):
            expected = self.expected if i == 0 or self._all_hear else Tally()
            for number in {*expected.counts, *listener.counts} - self._ignored:
                sent, came = expected.counts[number], listener.counts[number]
                counted = f"{name_of(number)} was sent {sent} times, and listener {i} received it {came} times"
                if came > sent:
                    raise Broken(counted)
                if is_real_time(number) and came < sent:
                    missing = counted
                if not is_real_time(number) and listener.last.get(number, 0) < expected.last[number]:
                    missing = f"{counted}, but not after the last was sent"
        return missing

    def is_reported(self, seen: Mapping[str, Any]) -> bool:
        """Whether `pyinitctl status` counts all forwarded real-time signals, each by the number that came in."""
        wanted = {
            number: count
            for number, count in self.sent.counts.items()
            if is_real_time(number) and self._rewrites.get(number, number)
        }
        reported = {number_of(entry["signal"]): entry["count"] for entry in seen["signals_forwarded"]}
        return wanted == {number: count for number, count in reported.items() if is_real_time(number)}
