"""`docker pause`: while a storm of orphans goes on, with signals on their way, and across the deadlines of the end."""

import random
import signal
import time
from collections import Counter

from soak.engine import ASKED_TO_STOP, BRIEF, WORKLOAD, Contained, Growth, contained, expect, expect_end
from soak.fault import Broken, Counts, Setting

NAME = "docker pause under load, with signals on their way, and across deadlines"

_STANDARD = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
_USER = "64321:64321"
"""Nobody else's: what one user may have queued (setrlimit(2), RLIMIT_SIGPENDING) is not used up by others' signals."""
_TIMEOUT = 0.5
"""Seconds; a pause across it lasts twice as long."""


def run(setting: Setting) -> Counts:
    """Pause a container some times while it makes orphans, and send it signals meanwhile; then pause one that is about
    to be killed, and one that drains.

    Each signal arrives once the pause is over, a real-time signal as often as it was sent. The stop timeout kills a
    workload that defies it, the drain timeout a straggler, and the status is right.
    """
    counts = Counts()
    _storm(setting, counts)
    _stop_timeout(setting, counts)
    _drain(setting, counts)
    return counts


def _storm(setting: Setting, counts: Counts) -> None:
    chance = setting.chance
    # The watch has a deadline pending at all times: each pause goes across some of them.
    with contained(setting, "--zombie-watch=0.05", BRIEF, "--", WORKLOAD, "serve", user=_USER) as container:
        container.hear("ready 0")
        for _ in range(3):  # with nobody about who could have sent anything
            time.sleep(chance.uniform(0.1, 0.2))
            _pause(container, chance.uniform(0.1, 0.3))
        expect(container.status()["signals_forwarded"], [], "signals that nobody has sent")
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
        expect(_arrived(container), sent, "the signals that arrived in all")
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
        expect("1 straggler killed (contained)" in end.errors, True, end.errors)
        counts.update(faults=1, signals=1, orphans=1)


def _pause(container: Contained, seconds: float) -> None:
    container.container.pause()
    time.sleep(seconds)
    container.container.unpause()


def _signals(chance: random.Random) -> list[int]:
    """Some of all kinds, a standard signal at most once."""
    queued = chance.choices(range(signal.SIGRTMIN, signal.SIGRTMAX + 1), k=chance.randint(1, 40))
    return [*queued, *chance.sample(_STANDARD, chance.randint(0, len(_STANDARD)))]


def _arrived(container: Contained) -> Counter[int]:
    lines = [line.split() for line in container.output.splitlines()]
    return Counter(int(number) for word, number in lines if word == "signal")
