"""The unit of docs/migrating.md under systemd: Type=notify, the watchdog, socket activation, the stop."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from testing import ROOT
from testing.blocks import block
from testing.namespaces import INTERPRETER
from testing.waiting import PATIENCE, SLOWNESS, eventually

WATCHDOG_SECONDS = 2 * SLOWNESS

APPLICATION = """
import ctypes, os, signal, socket, sys, time
from pathlib import Path

systemd, folder = ctypes.CDLL("libsystemd.so.0"), Path(sys.argv[1])

def end(number, frame):
    (folder / signal.Signals(number).name).touch()
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGABRT, end)
period, sockets = ctypes.c_uint64(), systemd.sd_listen_fds(0)
is_watched = systemd.sd_watchdog_enabled(0, ctypes.byref(period))
while not (folder / "ready").exists():
    time.sleep(0.05)
systemd.sd_notify(0, f"READY=1\\nSTATUS=sockets: {sockets}, watchdog: {is_watched} {period.value / 1e6}".encode())
if sockets:
    with socket.socket(fileno=3) as listener, listener.accept()[0] as connection:
        connection.sendall(b"served")
while True:
    if not (folder / "hangs").exists():
        systemd.sd_notify(0, b"WATCHDOG=1")
    time.sleep(0.05)
"""
"""It uses systemd's own library; files in its folder tell it what to do."""


class Service:
    """A unit that is loaded, and a folder for its application."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder

    def tell(self, what: str) -> None:
        """Tell the application to be ready, or to hang."""
        (self.folder / what).touch()

    def has(self, **properties: str) -> None:
        """Wait until the unit has these properties."""
        eventually(lambda: self._seen([*properties]), holds=lambda seen: seen == properties)

    def main_process(self) -> str:
        """The name of the unit's main process, by systemd."""
        return Path("/proc", self._seen(["MainPID"])["MainPID"], "comm").read_text().strip()

    def seconds_of_pings(self) -> float:
        """The seconds from the start until the last ping."""
        seen = self._seen(["ActiveEnterTimestampMonotonic", "WatchdogTimestampMonotonic"])
        return (int(seen["WatchdogTimestampMonotonic"]) - int(seen["ActiveEnterTimestampMonotonic"])) / 1e6

    def _seen(self, names: list[str]) -> dict[str, str]:
        shown = systemctl("show", f"--property={','.join(names)}", f"{self.name}.service")
        return dict(line.split("=", 1) for line in shown.splitlines())


def systemctl(*arguments: str) -> str:
    """The output of a command of systemctl; fails if the command does."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done
    return done.stdout


@contextmanager
def loaded(**units: str) -> Iterator[str]:
    """Load units of one name, by type, as long as the context lasts; yields the name."""
    name = f"pyinit-test-{uuid4().hex[:8]}"
    files = {Path(f"/run/systemd/system/{name}.{kind}"): text for kind, text in units.items()}
    try:
        for file, text in files.items():
            file.write_text(text)
        systemctl("daemon-reload")
        yield name
    finally:
        subprocess.run(["systemctl", "stop", *(file.name for file in files)], capture_output=True)
        for file in files:
            file.unlink()
        subprocess.run(["systemctl", "reset-failed", f"{name}.service"], capture_output=True)
        systemctl("daemon-reload")


@pytest.fixture
def service(launcher: str, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Loads the page's unit with an application and another watchdog, and other units by type."""
    text = block(ROOT / "docs" / "migrating.md", "[Service]")
    (tmp_path / "app.py").write_text(APPLICATION)
    for there, here in {
        "/usr/local/bin/pyinit -- python3 app.py": f"{launcher} -- {INTERPRETER} {tmp_path}/app.py {tmp_path}",
        "WatchdogSec=30": f"WatchdogSec={WATCHDOG_SECONDS}",
    }.items():
        assert there in text
        text = text.replace(there, here)
    with ExitStack() as stack:
        yield lambda **units: Service(stack.enter_context(loaded(service=text, **units)), tmp_path)


def test_the_unit_has_started_when_the_workload_is_ready(service: Callable[..., Service]) -> None:
    """`systemctl start` returns then. The workload knows of the watchdog, and pyinit is the main process."""
    unit = service()
    systemctl("start", "--no-block", f"{unit.name}.service")
    unit.has(ActiveState="activating", SubState="start")
    unit.tell("ready")
    unit.has(ActiveState="active", SubState="running", StatusText=f"sockets: 0, watchdog: 1 {float(WATCHDOG_SECONDS)}")
    assert unit.main_process() == "pyinit"


def test_a_workload_that_hangs_gets_the_watchdogs_signal(service: Callable[..., Service]) -> None:
    """systemd sends ABRT to the main process, which forwards it. Until then the workload's pings are enough."""
    unit = service()
    unit.tell("ready")
    systemctl("start", f"{unit.name}.service")
    eventually(unit.seconds_of_pings, holds=lambda seconds: seconds > 2 * WATCHDOG_SECONDS)
    assert not (unit.folder / "SIGABRT").exists()
    unit.tell("hangs")
    unit.has(ActiveState="failed", Result="watchdog")
    assert (unit.folder / "SIGABRT").exists()


def test_a_workload_is_started_with_the_socket_of_its_unit(service: Callable[..., Service], tmp_path: Path) -> None:
    """The first connection starts it."""
    path = tmp_path / "socket"
    unit = service(socket=f"[Socket]\nListenStream={path}\n")
    unit.tell("ready")
    systemctl("start", f"{unit.name}.socket")
    unit.has(ActiveState="inactive")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(path))
        assert client.makefile().read() == "served"
    unit.has(ActiveState="active", StatusText=f"sockets: 1, watchdog: 1 {float(WATCHDOG_SECONDS)}")


def test_a_stop_is_the_workloads_own(service: Callable[..., Service]) -> None:
    """pyinit gets TERM and forwards it. The workload exits with 0, and the unit ends successfully."""
    unit = service()
    unit.tell("ready")
    systemctl("start", f"{unit.name}.service")
    systemctl("stop", f"{unit.name}.service")
    unit.has(ActiveState="inactive", Result="success", ExecMainStatus="0")
    assert (unit.folder / "SIGTERM").exists()
