"""`docker pause` during a storm of orphans, with signals pending, and across the deadlines of the shutdown."""

import random
import signal
import time
from collections import Counter

from soak.engine import ASKED_TO_STOP, BRIEF, WORKLOAD, Contained, Growth, contained, expect, expect_end
from soak.fault import Broken, Counts, Setting

NAME = "docker pause under load, with signals pending, and across deadlines"

_STANDARD = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
_USER = "64321:64321"
"""A user of its own, so that other processes do not use up its limit of queued signals (RLIMIT_SIGPENDING)."""
_TIMEOUT = 0.5
"""Seconds. A pause across this timeout lasts twice as long."""


def run(setting: Setting) -> Counts:
    """Pause a container several times while it makes orphans, and send it signals during the pauses. Then pause a
    container whose stop timeout runs, and one whose drain timeout runs.

    Each signal arrives after the pause, a real-time signal as often as it was sent. The stop timeout kills a workload
    that ignores the stop signal, the drain timeout kills a straggler, and the status is right.
    """
    counts = Counts()
    _storm(setting, counts)
    _stop_timeout(setting, counts)
    _drain(setting, counts)
    return counts


def _storm(setting: Setting, counts: Counts) -> None:
    chance = setting.chance
    # With the watch a deadline is always pending: each pause spans some of them.
    with contained(setting, "--zombie-watch=0.05", BRIEF, "--", WORKLOAD, "serve", user=_USER) as container:
        container.hear("ready 0")
        for _ in range(3):  # nothing sends signals yet
            time.sleep(chance.uniform(0.1, 0.2))
            _pause(container, chance.uniform(0.1, 0.3))
        expect(container.status()["signals_forwarded"], [], "signals that were not sent")
        container.begin(WORKLOAD, "orphans")
        sent: Counter[int] = Counter()
        growth = None
        for _ in range(chance.randint(3, 6)):
            time.sleep(chance.uniform(0, 0.2))
            container.container.pause()
            for number in _signals(chance):
                container.send(number)
                sent[number] += 1
            time.sleep(chance.uniform(0, 0.5))
            container.container.unpause()
            container.until(lambda: _arrived(container), sent.__eq__)
            counts["faults"] += 1
            growth = growth or Growth(container)
        orphans = container.status()["orphans_reaped"]
        if not orphans:
            raise Broken("no orphan was reaped")
        if growth:
            growth.check()
        container.send(signal.SIGTERM)
        sent[signal.SIGTERM] += 1
        expect_end(container.end(), ASKED_TO_STOP, 1)
        expect(_arrived(container), sent, "all signals that arrived")
        counts.update(orphans=orphans, signals=sent.total())


def _stop_timeout(setting: Setting, counts: Counts) -> None:
    with contained(setting, f"--stop-timeout={_TIMEOUT}", "--", WORKLOAD, "defy") as container:
        container.hear("ready 0")
        container.send(signal.SIGTERM)
        container.hear(f"signal {int(signal.SIGTERM)}")
        _pause(container, 2 * _TIMEOUT)
        expect_end(container.end(), 128 + signal.SIGKILL, 1)
        counts.update(faults=1, signals=1)


def _drain(setting: Setting, counts: Counts) -> None:
    with contained(setting, f"--drain-timeout={_TIMEOUT}", "--", WORKLOAD, "serve") as container:
        container.hear("ready 0")
        container.send(signal.SIGTERM)
        container.hear(f"signal {int(signal.SIGTERM)}")
        _pause(container, 2 * _TIMEOUT)
        end = container.end()
        expect_end(end, ASKED_TO_STOP, 1)
        expect("1 straggler killed (contained after " in end.errors, True, end.errors)
        counts.update(faults=1, signals=1, orphans=1)


def _pause(container: Contained, seconds: float) -> None:
    container.container.pause()
    time.sleep(seconds)
    container.container.unpause()


def _signals(chance: random.Random) -> list[int]:
    """Random signals of all kinds, each standard signal at most once."""
    queued = chance.choices(range(signal.SIGRTMIN, signal.SIGRTMAX + 1), k=chance.randint(1, 40))
    return [*queued, *chance.sample(_STANDARD, chance.randint(0, len(_STANDARD)))]


def _arrived(container: Contained) -> Counter[int]:
    lines = [line.split() for line in container.output.splitlines()]
    return Counter(int(number) for word, number in lines if word == "signal")
