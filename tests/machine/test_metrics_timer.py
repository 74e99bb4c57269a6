"""deploy/metrics under systemd: the timer has the service write the file."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing import ROOT
from testing.commands import commands
from testing.coverage import copy_package
from testing.namespaces import INTERPRETER
from testing.waiting import PATIENCE, eventually
from tests.namespace.conftest import Start, bare  # noqa: F401

UNITS = ("pyinit-metrics.service", "pyinit-metrics.timer")
SYSTEM = Path("/etc/systemd/system")
FILE = Path("/var/lib/prometheus/node-exporter/pyinit.prom")
PACKAGE = Path("/usr/local/lib/pyinit-test")
COMMANDS = Path("/usr/local/bin")


@pytest.fixture
def installed() -> Iterator[str]:
    """pyinit at the path that the service names, where the service may read it: not below /root or /tmp."""
    copy_package(PACKAGE / "pyinit", None)
    subprocess.run([INTERPRETER, "-m", "pyinit.ctl", "install", COMMANDS], cwd=PACKAGE, check=True)
    try:
        yield str(COMMANDS / "pyinit")
    finally:
        subprocess.run(["systemctl", "disable", "--now", UNITS[1]], capture_output=True)
        for name in UNITS:
            (SYSTEM / name).unlink(missing_ok=True)
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        subprocess.run(["rm", "-rf", PACKAGE, COMMANDS / "pyinit", COMMANDS / "pyinitctl", FILE], check=True)


def test_the_timer_writes_the_file_again_and_again(installed: str, bare: Start) -> None:  # noqa: F811
    """Installed as the page says; with the counters of a pyinit, which takes the rights that the service keeps."""
    container = bare(installed, "--", "sleep", "1000")
    lines = [
        line for line in commands(ROOT / "docs" / "metrics.md") if line.startswith(("cp ", "mkdir ", "systemctl "))
    ]
    subprocess.run(["sh", "-euc", "\n".join(lines)], cwd=ROOT, check=True, timeout=PATIENCE)
    mark = f'pyinit_orphans_reaped_total{{pid="{container.init}"'
    eventually(lambda: FILE.read_text() if FILE.exists() else "", mark, holds=lambda written: mark in written)
    first = FILE.stat().st_mtime
    eventually(lambda: FILE.stat().st_mtime, "it is written again", holds=lambda written: written > first)
