"""The command line of the soak."""

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from bench.equipment import install_pyinit
from soak import engine, page, turns
from soak.fault import PROGRAMS, Setting
from soak.namespace import GROWTH_kB
from soak.turns import Outcome
from testing import ROOT, Unavailable
from testing.compiler import compile_all, compile_c

NAMESPACE = ("trees", "signals", "stalled", "clocks", "stops", "taken", "ends")
"""Faults that need only a PID namespace."""
ENGINE = ("pauses", "memory", "pids", "disk", "refusals")
"""Faults that need a Docker engine."""
PARALLEL = ("bad_input",)
"""Faults that run in another process, in parallel with all others."""
EVERY = (*NAMESPACE, *ENGINE, *PARALLEL)

WORKLOADS = ("family.c", "independence/actor.c")
"""Workloads of the tests in tests/namespace that the soak runs, too."""

MINUTES = 15.0
KEPT, BROKEN, IMPOSSIBLE = range(3)
"""Exit statuses: all promises kept, a promise broken, could not test."""


def main() -> int:
    """Run faults until the time is up, print a line for each, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m soak", description="Test pyinit under faults of many kinds.")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"duration (default: {MINUTES:.0f})")
    parser.add_argument("--only", action="append", choices=EVERY, help="run only this fault; repeatable")
    parser.add_argument("--seed", type=int, help="run each fault once, with this seed")
    parser.add_argument(
        "--page", action="store_true", help="write docs/reliability.md; ignored with --only and with --seed"
    )
    # Not sys.executable: the interpreter of a virtual environment reads one more file at each start.
    parser.add_argument(
        "--python",
        default=shutil.which("python3", path="/usr/bin:/usr/local/bin"),
        help="the interpreter that runs pyinit",
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    began = time.monotonic()
    chosen = arguments.only or EVERY
    try:
        outcomes = _run(chosen, arguments.minutes * 60, arguments.seed, arguments.python)
    except Unavailable as error:
        print(f"soak: {error}", file=sys.stderr)
        return IMPOSSIBLE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    if arguments.page and not arguments.only and arguments.seed is None:
        page.write(outcomes, arguments.python, (time.monotonic() - began) / 60, MINUTES, GROWTH_kB)
    broken = [outcome for outcome in outcomes if outcome.broken]
    print(f"\nruns: {len(outcomes)}; with a broken promise: {len(broken)}")
    for outcome in broken:
        print(outcome)
    return BROKEN if broken else KEPT


def _run(chosen: Sequence[str], seconds: float, seed: int | None, python: str | None) -> list[Outcome]:
    if os.geteuid():
        raise Unavailable("PID namespaces need root: run it as root")
    if not python:
        raise Unavailable("no python3 found to run pyinit: name one with --python")
    outcomes: list[Outcome] = []

    def report(outcome: Outcome) -> None:
        outcomes.append(outcome)
        print(outcome, flush=True)

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyinit-soak-")))
        setting = stack.enter_context(_equipped(chosen, folder, python))
        parallel = [name for name in chosen if name in PARALLEL]
        await_parallel = (
            stack.enter_context(_running_in_parallel(parallel, setting, seconds, seed, report)) if parallel else None
        )
        if others := [name for name in chosen if name not in PARALLEL]:
            turns.run_faults(others, setting, seconds, seed, report)
        if await_parallel:
            await_parallel()
    return sorted(outcomes, key=lambda outcome: EVERY.index(outcome.fault))


@contextmanager
def _equipped(chosen: Sequence[str], folder: Path, python: str) -> Iterator[Setting]:
    built = folder / "programs"
    built.mkdir()
    compile_all(PROGRAMS, built)
    for workload in WORKLOADS:
        source = ROOT / "tests" / "namespace" / workload
        compile_c(source.read_text(), built / source.stem)
    home = folder / "installed"
    home.mkdir()
    launcher = Path(install_pyinit(home, python).prefix[0])
    if not set(chosen) & {*ENGINE}:
        yield Setting(launcher, python, built)
        return
    with engine.equip(folder / "image") as (client, image):
        yield Setting(launcher, python, built, client, image)


@contextmanager
def _running_in_parallel(
    names: Sequence[str], setting: Setting, seconds: float, seed: int | None, report: Callable[[Outcome], None]
) -> Iterator[Callable[[], None]]:
    """Run these faults in another process and report each outcome; yield a function that waits for the end."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    shared = replace(setting, client=None)
    process = multiprocessing.Process(target=_run_in_parallel, args=(names, shared, seconds, seed, sender))
    process.start()
    sender.close()

    def pass_on() -> None:
        with suppress(EOFError):
            while True:
                report(receiver.recv())

    listener = threading.Thread(target=pass_on)
    listener.start()
    try:
        yield listener.join
    finally:
        process.terminate()
        process.join()
        listener.join()


def _run_in_parallel(
    names: Sequence[str], setting: Setting, seconds: float, seed: int | None, sender: Connection
) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # our parent handles Ctrl-C
    turns.run_faults(names, setting, seconds, seed, sender.send)


if __name__ == "__main__":
    sys.exit(main())
