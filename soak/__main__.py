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
from testing import Unavailable
from testing.compiler import compile_all

NAMESPACE = ("trees", "signals", "stalled", "clocks", "stops")
"""The faults that need a PID namespace and no more."""
ENGINE = ("pauses", "memory", "pids", "disk", "refusals")
"""Those that need a Docker engine."""
BESIDE = ("bad_input",)
"""Those that run beside the others all the time, in a process of their own."""
EVERY = (*NAMESPACE, *ENGINE, *BESIDE)

MINUTES = 15.0
KEPT, BROKEN, IMPOSSIBLE = range(3)
"""The exit statuses: all promises kept, one broken, nothing to be said."""


def main() -> int:
    """Do faults until the time is up, print a line for each, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m soak", description="Do pyinit all kinds of harm, and see.")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"how long ({MINUTES:.0f})")
    parser.add_argument("--only", action="append", choices=EVERY, help="do this fault alone; repeatable")
    parser.add_argument("--seed", type=int, help="do each fault once, with this seed")
    parser.add_argument("--page", action="store_true", help="write docs/reliability.md, unless --only or --seed")
    # Not sys.executable: that of a virtual environment reads one file more at each start.
    parser.add_argument(
        "--python", default=shutil.which("python3", path="/usr/bin:/usr/local/bin"), help="the interpreter of pyinit"
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
    print(f"\nruns: {len(outcomes)}; with a promise broken: {len(broken)}")
    for outcome in broken:
        print(outcome)
    return BROKEN if broken else KEPT


def _run(chosen: Sequence[str], seconds: float, seed: int | None, python: str | None) -> list[Outcome]:
    if os.geteuid():
        raise Unavailable("only root may create PID namespaces: run it as root")
    if not python:
        raise Unavailable("no python3 found for pyinit: name one with --python")
    outcomes: list[Outcome] = []

    def tell(outcome: Outcome) -> None:
        outcomes.append(outcome)
        print(outcome, flush=True)

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyinit-soak-")))
        setting = stack.enter_context(_equipped(chosen, folder, python))
        beside = [name for name in chosen if name in BESIDE]
        await_beside = stack.enter_context(_taken_beside(beside, setting, seconds, seed, tell)) if beside else None
        if others := [name for name in chosen if name not in BESIDE]:
            turns.take(others, setting, seconds, seed, tell)
        if await_beside:
            await_beside()
    return sorted(outcomes, key=lambda outcome: EVERY.index(outcome.fault))


@contextmanager
def _equipped(chosen: Sequence[str], folder: Path, python: str) -> Iterator[Setting]:
    built = folder / "programs"
    built.mkdir()
    compile_all(PROGRAMS, built)
    launcher = Path(install_pyinit(folder, python).prefix[0])
    if not set(chosen) & {*ENGINE}:
        yield Setting(launcher, python, built)
        return
    with engine.equip(folder / "image") as (client, image):
        yield Setting(launcher, python, built, client, image)


@contextmanager
def _taken_beside(
    names: Sequence[str], setting: Setting, seconds: float, seed: int | None, tell: Callable[[Outcome], None]
) -> Iterator[Callable[[], None]]:
    """Do these in a process of their own, and tell how each went; yields what waits until all is done."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    shared = replace(setting, client=None)
    process = multiprocessing.Process(target=_take_beside, args=(names, shared, seconds, seed, sender))
    process.start()
    sender.close()

    def pass_on() -> None:
        with suppress(EOFError):
            while True:
                tell(receiver.recv())

    listener = threading.Thread(target=pass_on)
    listener.start()
    try:
        yield listener.join
    finally:
        process.terminate()
        process.join()
        listener.join()


def _take_beside(names: Sequence[str], setting: Setting, seconds: float, seed: int | None, sender: Connection) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that has started us
    turns.take(names, setting, seconds, seed, sender.send)


if __name__ == "__main__":
    sys.exit(main())
