"""A workload that begins by limiting PID 1's memory to what PID 1 uses."""

import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from testing.namespaces import Container

from .conftest import KINDS, LIMITED, TOLD, Begin, Installation, cpu_seconds, log_of

World = Callable[..., Container]


@pytest.fixture(params=[(kind, limit) for kind in KINDS for limit in ("AS", "DATA")], ids=" ".join)
def world(request: pytest.FixtureRequest, begin: Begin, installations: dict[str, Installation], actor: str) -> World:
    """Starts pyinit, with a workload that first limits its memory, and goes on with these acts."""
    kind, limit = request.param

    def start(*options: str, acts: str, **popen: object) -> Container:
        words = [*options, "--", actor, "take-memory", limit, *acts.split()]
        return begin(installations[kind], *words, before=LIMITED, **popen)

    return start


def test_signals_arrive(world: World) -> None:
    """Standard signals, and each instance of a real-time signal; each is logged."""
    container = world(*TOLD, acts="block say ready hear 22 exit 7")
    container.expect("ready")
    real_time = signal.SIGRTMIN + 3
    sent = [signal.SIGHUP, signal.SIGUSR1, *[real_time] * 20]
    for number in sent:
        container.signal(number)
    assert sorted([container.line() for _ in sent], key=int) == [str(int(number)) for number in sent]
    ended = container.end()
    log = log_of(ended)
    assert (ended.status, len(log.of("signal")), len(log.complaints)) == (7, len(sent), 0), log


def test_300_orphans_are_reaped(world: World) -> None:
    """And counted. (The lines about them have room in a pipe.)"""
    ended = world(*TOLD, acts="orphans 300 await-gone exit 7").end()
    assert (ended.status, ended.out) == (7, "gone\n"), ended
    assert log_of(ended).report["orphans_reaped"] == 300, ended
    assert not log_of(ended).complaints, ended


def test_stragglers_are_asked_and_then_killed(world: World) -> None:
    """Two end at SIGTERM, one does not."""
    since = time.monotonic()
    ended = world(*TOLD, "--drain-timeout=2", acts="start 2 start-stubborn 1 exit 7").end()
    took = time.monotonic() - since
    assert (ended.status, ended.out) == (7, "asked\n" * 2), ended
    assert 2 <= took < 20, f"it took {took:.1f} s: {ended}"
    assert not log_of(ended).complaints, ended


def test_the_stop_timeout_is_kept(world: World) -> None:
    """And reported."""
    container = world(*TOLD, "--stop-timeout=0.3", acts="ignore 15 say ready pause")
    container.expect("ready")
    since = time.monotonic()
    container.signal(signal.SIGTERM)
    ended = container.end()
    took = time.monotonic() - since
    report = log_of(ended).report
    assert (ended.status, report["signal"], report["killed_by"]) == (137, "SIGTERM", "SIGKILL"), ended
    assert 0.3 <= took < 20, f"the end came {took:.1f} s after TERM: {ended}"
    assert 0.3 <= report["killed_after_seconds"] < 20, ended


def test_it_does_not_spin(world: World) -> None:
    """After signals and orphans it sleeps again, and does not try again and again to get memory."""
    acts = "block say ready hear 1 orphans 100 await-gone await-line exit 7"
    container = world("--zombie-watch=0.2", acts=acts, stdin=subprocess.PIPE)
    container.expect("ready")
    container.signal(signal.SIGUSR1)
    container.expect(str(int(signal.SIGUSR1)))
    container.expect("gone")
    before = cpu_seconds(container.init)
    time.sleep(1)  # nothing should happen, so there is no condition to wait for
    taken = cpu_seconds(container.init) - before
    assert taken < 0.1, f"{taken} s of processor time in a second"
    container.say()
    ended = container.end()
    assert (ended.status, ended.err) == (7, ""), ended
