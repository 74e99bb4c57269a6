"""The command line of the bench."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import contenders, crowd, engine, idle, memory, probes, reaping, report, signals, start, stop
from bench.container import Failed
from bench.setting import Setting

MET, MISSED, IMPOSSIBLE = range(3)
"""The exit statuses: all targets met, one missed, nothing to be said."""


def main() -> int:
    """Measure everything in one run, print the tables as they come, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m bench", description="Measure pyinit beside its peers.")
    parser.add_argument("--quick", action="store_true", help="less of everything: a minute or so")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    # Not sys.executable: that of a virtual environment reads one file more at each start.
    parser.add_argument(
        "--python", default=shutil.which("python3", path="/usr/bin:/usr/local/bin"), help="the interpreter of pyinit"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        return _run(arguments.quick, arguments.python, arguments.json)
    except (contenders.Unavailable, Failed) as error:
        print(f"bench: {error}", file=sys.stderr)
        return IMPOSSIBLE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(quick: bool, python: str | None, file: Path | None) -> int:
    if os.geteuid():
        raise contenders.Unavailable("only root may create PID namespaces: run it as root")
    if not python:
        raise contenders.Unavailable("no python3 found for pyinit: name one with --python")
    with engine.connect() as client, tempfile.TemporaryDirectory(prefix="pyinit-bench-") as name:
        contenders.provide_tools()
        folder = Path(name)
        built = folder / "probes"
        built.mkdir()
        probes.build(built)
        inits = [*contenders.find_peers(), contenders.install_pyinit(folder, python)]
        with engine.equip(client, folder / "image") as equipped:
            return _measure(Setting({init.name: init for init in inits}, python, built, equipped, quick), file)


def _measure(setting: Setting, file: Path | None) -> int:
    asked = subprocess.run([setting.python, "--version"], capture_output=True, text=True, check=True)
    machine = report.describe_machine()
    versions = {contenders.INTERPRETER: asked.stdout.split()[-1]}
    versions.update((name, init.version()) for name, init in setting.inits.items())
    versions["docker"] = setting.engine.version()
    print(report.heading(machine, versions), flush=True)
    found = []
    for part in (start, signals, reaping, idle, memory, crowd, stop):
        found.append(part.measure(setting))
        print(f"\n{report.as_text(found[-1])}", flush=True)
    if file:
        data = {
            "machine": machine,
            "versions": versions,
            "quick": setting.quick,
            "measurements": [report.as_data(measurement) for measurement in found],
        }
        file.write_text(json.dumps(data, indent=2) + "\n")
    return MET if all(target.met for measurement in found for target in measurement.targets) else MISSED


if __name__ == "__main__":
    sys.exit(main())
