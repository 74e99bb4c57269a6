"""SIGSTOP and SIGCONT on PID 1."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from pyinit.kernel.signals import CONT, TERMINAL_STOPS
from soak.fault import Broken, Counts, Setting
from soak.hearing import Hearing, is_real_time, sendable
from soak.namespace import Namespace, stop
from soak.trees import grow

NAME = "SIGSTOP and SIGCONT on PID 1"

WATCH = "--zombie-watch=0.02"
"""With this, a deadline is always near."""

WARM_UP, ROUNDS, PROCESSES, MOST = 2, 5, 1000, 1500
LONGEST = 0.06
"""The longest stop, and the longest time between two stops, in seconds."""

STOP_TIMEOUT, OVERDUE, SLACK = 0.5, 0.4, 2.0
"""Seconds. PID 1 stays stopped for `OVERDUE` after the stop timeout."""


def run(setting: Setting) -> Counts:
    """Stop PID 1 itself from outside and continue it, at random moments: while trees of processes start and exit, while
    signals arrive and pile up, and across the deadlines of a zombie watch with an interval of 20 ms and of the stop
    timeout.

    After each stop, pyinit catches up. Every orphan is reaped, every signal is forwarded, and no others. Real-time
    signals are forwarded in the kernel's order, which is by number. A workload whose stop timeout has passed is killed
    at once.
    """
    counts = Counts()
    for part in (_trees, _signals, _deadline):
        folder = setting.folder / part.__name__
        folder.mkdir()
        counts += part(replace(setting, folder=folder))
    return counts


@contextmanager
def _stopping(pid: int, seed: int) -> Iterator[Callable[[], int]]:
    """Stop and continue a process again and again inside the ``with`` block; yield a function that counts the stops."""
    chance = random.Random(seed)
    over = threading.Event()
    stops = 0

    def stop_and_go() -> None:
        nonlocal stops
        while not over.wait(chance.uniform(0, LONGEST)):
            try:
                stop(pid)
                stops += 1
                over.wait(chance.uniform(0, LONGEST))
            finally:
                signal.pidfd_send_signal(handle, signal.SIGCONT)

    handle = os.pidfd_open(pid)
    thread = threading.Thread(target=stop_and_go)
    thread.start()
    try:
        yield lambda: stops
    finally:
        over.set()
        thread.join()
        os.close(handle)


def _trees(setting: Setting) -> Counts:
    chance = setting.chance
    with Namespace(setting, [WATCH], [str(setting.programs / "tree")]) as namespace:
        namespace.hear()
        with _stopping(namespace.init, chance.getrandbits(32)):
            for _ in range(WARM_UP):
                grow(namespace, chance.getrandbits(31), PROCESSES)
        before = namespace.measure()
        with _stopping(namespace.init, chance.getrandbits(32)) as stops:
            for _ in range(ROUNDS):
                orphans = grow(namespace, chance.getrandbits(31), PROCESSES)
        namespace.await_rest()
        seen = namespace.await_status(lambda seen: seen["orphans_reaped"] >= orphans, f"{orphans} orphans")
        if seen["orphans_reaped"] != orphans:
            raise Broken(f"there were {orphans} orphans, but pyinitctl status reports {seen['orphans_reaped']}")
        namespace.check_growth(before)
        namespace.finish(7)
        return Counts(faults=stops(), orphans=orphans)


def _signals(setting: Setting) -> Counts:
    chance = setting.chance
    real_time = [number for number in sendable(chance) if is_real_time(number)]
    # We send SIGCONT to continue PID 1, which forwards it an unknown number of times, and it discards stop signals.
    numbers = [number for number in sendable(chance) if number not in (CONT, *TERMINAL_STOPS)]
    with Namespace(setting, [WATCH], Hearing.command(setting, 0)) as namespace:
        namespace.hear()
        hearing = Hearing(setting, namespace, ignored=[CONT])
        with _stopping(namespace.init, chance.getrandbits(32)):
            hearing.send(False, MOST, 100, numbers)
            hearing.await_senders()
        hearing.await_arrival()
        before = namespace.measure()
        with _stopping(namespace.init, chance.getrandbits(32)) as stops:
            for is_inside in (True, False) * ROUNDS:
                hearing.send(is_inside, chance.randint(1, MOST), 200, numbers)
                hearing.await_senders()
        hearing.await_arrival()
        descents = hearing.descents
        for _ in range(ROUNDS):
            stop(namespace.init)
            hearing.send(True, MOST, 0, real_time)
            hearing.send(False, MOST, 0, real_time)
            hearing.await_senders()
            namespace.signal(signal.SIGCONT)
            heard = hearing.await_arrival()
            # One descent is expected: from the highest signal of the previous round to the lowest of this one.
            if hearing.descents > descents + 1:
                raise Broken(f"pending real-time signals were forwarded out of order: {hearing.descents - descents}")
            descents = hearing.descents
        namespace.await_status(hearing.is_reported, f"real-time signals: {dict(hearing.sent.counts)}")
        namespace.check_growth(before)
        namespace.finish(9)
        return Counts(faults=stops() + ROUNDS, signals=heard)


def _deadline(setting: Setting) -> Counts:
    """If PID 1 is stopped when the stop timeout ends, it kills the workload when it is continued, and not before."""
    options = [WATCH, f"--stop-timeout={STOP_TIMEOUT}"]
    deaf = Hearing.command(setting, 0)
    with Namespace(setting, options, deaf) as namespace:
        namespace.hear()
        namespace.await_rest()
        namespace.signal(signal.SIGTERM)
        time.sleep(setting.chance.uniform(0, STOP_TIMEOUT / 2))
        stop(namespace.init)
        time.sleep(STOP_TIMEOUT + OVERDUE)
        namespace.say("report")
        namespace.hear()
        namespace.signal(signal.SIGCONT)
        continued = time.monotonic()
        namespace.await_end(128 + signal.SIGKILL)
        if time.monotonic() - continued > SLACK:
            raise Broken(f"PID 1 exited only {time.monotonic() - continued:.1f} s after it was continued")
        return Counts(faults=1)
