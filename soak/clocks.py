"""Clocks that jump, and clocks that a time namespace has shifted."""

import json
import os
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from soak.fault import Broken, Counts, Setting
from soak.namespace import Namespace
from testing import packages
from testing.waiting import eventually

NAME = "clocks that jump"

LIBRARY = "/usr/lib/*/faketime/libfaketime.so.1"
YEARS = 10 * 365 * 86400
"""The longest jump, in seconds."""

WATCH, STOP, DRAIN = 0.4, 1.0, 0.7
SLACK = 1.0
"""Seconds that anything may be late on a busy machine."""

STUBBORN = """if True:
    import posix
    from _signal import SIG_IGN, SIGTERM, pause, signal
    signal(SIGTERM, SIG_IGN)
    if posix.fork() == 0:
        posix._exit(0)
    if posix.fork() == 0:
        posix.setsid()
        pause()
    print("ready", flush=True)
    pause()
"""
"""A workload with a zombie and a straggler. Workload and straggler both have to be killed."""


def run(setting: Setting) -> Counts:
    """Let the time of day jump back and forth by up to ten years, dozens of times a second, for PID 1 and its workload,
    while all deadlines run: the zombie watch, the stop timeout and the drain timeout. (libfaketime is preloaded, so the
    machine's clock does not change.) Then do the same in time namespaces where one clock, monotonic or boot time, is
    years ahead of the machine's, and the other is behind by a part of the uptime.

    The deadlines are kept to within a second, and the ages that pyinitctl reports are right.
    """
    counts = Counts()
    with _jumping(setting) as (environment, jumps):
        records = _await_deadlines(setting, (), environment)
        times = [datetime.fromisoformat(record["time"]).timestamp() for record in records]
        if max(times) - min(times) < 86400:
            raise Broken(f"the clock of PID 1 has not jumped: {[record['time'] for record in records]}")
        counts["faults"] += len(jumps)
    for ahead in ("monotonic", "boottime"):
        (setting.folder / "log").unlink()
        _await_deadlines(setting, _time_namespace(setting.chance, ahead), {})
        counts["faults"] += 1
    return counts + Counts(deadlines=9)


def _time_namespace(chance: random.Random, ahead: str) -> list[str]:
    """Options of unshare(1): one clock ahead, the other behind, but not to before its start (time_namespaces(7))."""
    most = {clock: YEARS if clock == ahead else -0.9 * time.monotonic() for clock in ("monotonic", "boottime")}
    return ["--time", *(f"--{clock}={int(seconds * chance.random())}" for clock, seconds in most.items())]


@contextmanager
def _jumping(setting: Setting) -> Iterator[tuple[dict[str, str], list[int]]]:
    """Yield the environment that makes the time of day jump, and the list of jumps so far."""
    library = _library()
    stamp = setting.folder / "clock"
    over = threading.Event()
    jumps: list[int] = []

    def jump() -> None:
        while not jumps or not over.wait(setting.chance.uniform(0.001, 0.05)):
            jumps.append(setting.chance.randint(-YEARS, YEARS))
            new = stamp.with_suffix(".new")
            new.write_text(f"{jumps[-1]:+d}\n")
            os.replace(new, stamp)

    jump_once = threading.Thread(target=jump)
    jump_once.start()
    eventually(stamp.exists, "the first jump")
    try:
        yield (
            {
                "LD_PRELOAD": library,
                "FAKETIME_TIMESTAMP_FILE": str(stamp),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # the kernel's monotonic clock never jumps
            },
            jumps,
        )
    finally:
        over.set()
        jump_once.join()


def _library() -> str:
    packages.provide("faketime", "faketime")  # the package has the library, too
    return str(next(Path("/").glob(LIBRARY.lstrip("/"))))


def _await_deadlines(setting: Setting, unshare: Sequence[str], environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Start a workload that ignores SIGTERM, stop it, check the times, and return the records of the log."""
    options = [f"--zombie-watch={WATCH}", f"--stop-timeout={STOP}", f"--drain-timeout={DRAIN}", "-vv"]
    workload = [setting.python, "-ISc", STUBBORN]
    began = time.monotonic()
    with Namespace(
        setting, [*options, "--log-format=json"], workload, unshare=unshare, environment=environment
    ) as namespace:
        namespace.hear()
        started = time.monotonic()
        eventually(lambda: "zombies" in _events(namespace), "the watch logs the zombie", patience=2 * WATCH + SLACK)
        logged = _events(namespace)["zombies"]["oldest_seconds"]
        _check("age of the zombie in the log", logged, 0, time.monotonic() - began)
        inside = ["--time"] if unshare else []
        least = time.monotonic() - started
        seen = json.loads(namespace.ctl("zombies", "--json", unshared=inside).stdout)
        most = time.monotonic() - began
        ages = [zombie["age_seconds"] for zombie in seen["zombies"]]
        if len(ages) != 1:
            raise Broken(f"pyinitctl zombies reports {seen['zombies']} instead of one zombie")
        # An age does not include time that a hypervisor took from the processor (`pyinit.ctl.ages`).
        _check("age of the zombie", ages[0], least / 2, most)
        least = time.monotonic() - started
        uptime = json.loads(namespace.ctl("status", "--json", unshared=inside).stdout)["uptime_seconds"]
        _check("uptime", uptime, least, time.monotonic() - began)
        namespace.await_rest()
        namespace.signal(15)
        asked = time.monotonic()
        eventually(lambda: "stop-timeout" in _events(namespace), "the workload was killed", patience=STOP + SLACK)
        _check("stop timeout", time.monotonic() - asked, STOP, STOP + SLACK)
        namespace.await_end(128 + 9)
        _check("end of the drain timeout", time.monotonic() - asked, STOP + DRAIN, STOP + DRAIN + 2 * SLACK)
        return list(_records(namespace))


def _records(namespace: Namespace) -> Iterator[dict[str, Any]]:
    for line in namespace.log.read_text().splitlines(keepends=True):
        if line.endswith("\n"):  # otherwise it is still being written
            yield json.loads(line)


def _events(namespace: Namespace) -> dict[str, dict[str, Any]]:
    return {record["event"]: record for record in _records(namespace)}


def _check(what: str, seconds: float, least: float, most: float) -> None:
    if not least - 0.05 <= seconds <= most + 0.05:
        raise Broken(f"{what}: {seconds:.3f} s instead of {least:.3f} to {most:.3f}")
