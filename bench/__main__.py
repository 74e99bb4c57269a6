"""The command line of the bench."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from docker.errors import DockerException

from bench import (
    age,
    contenders,
    crowd,
    ending,
    engine,
    equipment,
    idle,
    memory,
    reaping,
    report,
    signals,
    start,
    stop,
)
from bench.setting import Setting
from testing import ROOT, Unavailable
from testing.compiler import compile_all
from testing.waiting import Failed

MET, MISSED, IMPOSSIBLE = range(3)
"""Exit statuses: all targets met, a target missed, could not measure."""

PARTS = {
    "start": start,
    "signals": signals,
    "reaping": reaping,
    "idle": idle,
    "memory": memory,
    "age": age,
    "ending": ending,
    "crowd": crowd,
    "stop": stop,
}
DOCS = ROOT / "docs"
PROBES = ROOT / "bench" / "probes"
"""Workloads and measuring programs in C: small, so that their own cost does not show in the figures."""


def main() -> int:
    """Run the measurements, print each table when it is ready, write the page, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m bench", description="Compare pyinit with its peers.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"measure only these: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="take fewer samples: about two minutes")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FOLDER",
        help="write the page, its plots and its figures to FOLDER (default: docs, but only for a full run)",
    )
    # Not sys.executable: the interpreter of a virtual environment reads one more file at each start.
    parser.add_argument(
        "--python",
        default=shutil.which("python3", path="/usr/bin:/usr/local/bin"),
        help="the interpreter that runs pyinit",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    if arguments.parts and arguments.write:
        parser.error("--write needs all parts")
    whole_run = not arguments.parts and not arguments.quick
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        wanted = arguments.parts or list(PARTS)
        return _run(wanted, arguments.quick, arguments.python, arguments.write or (DOCS if whole_run else None))
    except (Unavailable, Failed, DockerException) as error:
        print(f"bench: {error}", file=sys.stderr)
        return IMPOSSIBLE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(parts: Sequence[str], quick: bool, python: str | None, written: Path | None) -> int:
    if os.geteuid():
        raise Unavailable("PID namespaces need root: run it as root")
    if not python:
        raise Unavailable("no python3 found to run pyinit: name one with --python")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyinit-bench-"))).resolve()
        built = folder / "probes"
        built.mkdir()
        compile_all(PROBES, built)
        inits = [equipment.install_pyinit(folder, python), *equipment.find_peers(folder)]
        equipped = stack.enter_context(engine.equip(folder / "image")) if "stop" in parts else None
        by_pip = equipment.install_wheel(folder, python) if "start" in parts else None
        setting = Setting({init.name: init for init in inits}, python, built, by_pip, equipped, quick)
        return _measure(parts, setting, written)


def _measure(parts: Sequence[str], setting: Setting, written: Path | None) -> int:
    asked = subprocess.run([setting.python, "--version"], capture_output=True, text=True, check=True)
    machine = report.describe_machine()
    versions = {contenders.INTERPRETER: asked.stdout.split()[-1]}
    versions.update((name, init.version()) for name, init in setting.inits.items())
    if setting.engine:
        versions["docker"] = setting.engine.version()
    print(report.heading(machine, versions), flush=True)
    found = []
    for part in parts:
        found.append(PARTS[part].measure(setting))
        print(f"\n{report.as_text(found[-1])}", flush=True)
    if written:
        from bench import page  # imports matplotlib: slow, and not needed to print

        page.write(written, found, machine, versions, setting.quick)
    return MET if all(target.met for measurement in found for target in measurement.targets) else MISSED


if __name__ == "__main__":
    sys.exit(main())
