"""Installations of pyinit that can be taken away, and the workload that takes them away."""

import compileall
import contextlib
import json
import signal
import subprocess
import threading
import venv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from testing.compiler import compile_c
from testing.coverage import copy_package
from testing.namespaces import IN_TIME, INTERPRETER, UNSHARE, Container, Ended
from testing.waiting import PATIENCE, eventually

KINDS = ("installed", "sources", "site-packages")
"""Kinds of installation: by ``pyinitctl install``, as a folder of sources, in a virtual environment."""

LIMITED = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]
"""As in a container: root may not raise its own limits again."""

NO_INIT_ABOVE = (
    'pyinit_status() { "$@"; status=$?; grep -l actor /proc/[0-9]*/comm; exit $status; }; pyinit_status "$@"'
)
"""A shell as PID 1, with pyinit below it: it lists the actors that are left, and passes the status on."""

TOLD = ["--log-format=json", "-vv", "--exit-report=always"]
"""Log everything, as JSON."""


@dataclass(frozen=True)
class Installation:
    """An installation of pyinit."""

    home: Path
    """The folder with all of its files."""
    original: Path
    """A copy of that folder."""
    command: Sequence[str]
    """The words that start it."""

    def own_copy(self) -> list[str]:
        """Words to put before the command, in a mount namespace of its own: `home` is changed in there only."""
        script = f'mount -t tmpfs none {self.home} && cp -a {self.original}/. {self.home} && exec "$@"'
        return ["sh", "-c", script, "sh"]


@pytest.fixture(scope="session")
def installations(tmp_path_factory: pytest.TempPathFactory, lines_run: Path | None) -> dict[str, Installation]:
    """One of each kind."""
    top = tmp_path_factory.mktemp("independence")
    made = {}
    for kind in KINDS:
        home = top / kind
        if kind == "site-packages":
            venv.EnvBuilder(symlinks=True).create(home)
            package = next(home.glob("lib/python3*/site-packages")) / "pyinit"
            command = [str(home / "bin" / "python"), "-m", "pyinit"]
        else:
            package = home / "pyinit"
            command = ["env", f"PYTHONPATH={home}", INTERPRETER, "-Bm", "pyinit"]
        copy_package(package, lines_run)
        if kind == "site-packages":  # as pip does
            compileall.compile_dir(package, quiet=2)
        if kind == "installed":
            (home / "bin").mkdir()
            words = [INTERPRETER, "-Bm", "pyinit.ctl", "install", str(home / "bin")]
            subprocess.run(words, cwd=home, check=True, capture_output=True)
            command = [str(home / "bin" / "pyinit")]
        original = top / f"{kind}.original"
        subprocess.run(["cp", "-a", home, original], check=True)
        made[kind] = Installation(home, original, command)
    return made


@pytest.fixture(scope="session")
def actor(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The workload (``actor.c``): a static program that begins with the act that its first argument names."""
    source = Path(__file__).with_name("actor.c").read_text()
    return str(compile_c(source, tmp_path_factory.mktemp("actor") / "actor"))


class Started(Container):
    """A container whose pyinit may end too soon: then a test fails at once."""

    def __init__(self, command: Sequence[str], depth: int, **popen: object) -> None:
        super().__init__(command, **popen)
        self._depth = depth
        """How many generations pyinit is below the process that was started."""

    @property
    def init(self) -> int:
        """The pid of pyinit, as it is seen from outside."""
        found: list[psutil.Process] = []

        def look() -> bool:
            assert self.process.poll() is None, f"it ended too soon: {self.end()}"
            found[:] = [psutil.Process(self.process.pid)]
            with contextlib.suppress(psutil.NoSuchProcess):
                for _ in range(self._depth):
                    found[:] = found[0].children()[:1]
                    if not found:
                        return False
                return True
            return False

        eventually(look, "pyinit was started")
        return found[0].pid

    def signal(self, number: int) -> None:
        try:
            super().signal(number)
        except ProcessLookupError:
            raise AssertionError(f"it ended too soon: {self.end()}") from None


Begin = Callable[..., Container]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Start an installation with these words; the container is killed after the test.

    ``before`` are words put in front of it, in its namespace. Unless ``is_pid_1``, pyinit is a subreaper.
    """
    containers: list[Container] = []

    def begin(
        installation: Installation,
        *words: str,
        before: Sequence[str] = (),
        is_pid_1: bool = True,
        **popen: object,
    ) -> Container:
        below = [] if is_pid_1 else ["sh", "-c", NO_INIT_ABOVE, "sh"]
        command = [*IN_TIME, *UNSHARE, *before, *below, *installation.command, *words]
        popen = {"cwd": "/", **popen}  # python -m looks into the working directory first
        containers.append(Started(command, 1 if is_pid_1 else 2, **popen))
        return containers[-1]

    yield begin
    for container in containers:
        container.process.send_signal(signal.SIGKILL)  # --kill-child takes PID 1, and the kernel all others, with it
        container.process.communicate()


class Log:
    """pyinit's log, of ``--log-format=json``."""

    def __init__(self, text: str) -> None:
        """Fail if a line is not JSON, such as a traceback."""
        self.events: list[dict[str, Any]] = []
        for line in text.splitlines():
            try:
                self.events.append(json.loads(line))
            except ValueError:
                raise AssertionError(f"not a line of the log: {line!r}, in:\n{text}") from None

    def of(self, event: str) -> list[dict[str, Any]]:
        """The events of this name."""
        return [one for one in self.events if one["event"] == event]

    @property
    def report(self) -> dict[str, Any]:
        """The only exit report."""
        found = self.of("ended")
        assert len(found) == 1, self
        return found[0]

    @property
    def complaints(self) -> Counter[str]:
        """The warnings and errors except for the report, and how often each was logged."""
        told = [
            one["message"] for one in self.events if one["level"] in ("error", "warning") and one["event"] != "ended"
        ]
        return Counter(told)

    def __repr__(self) -> str:
        return "\n" + "\n".join([f"{one['level']} {one['event']}: {one['message']}" for one in self.events])


def log_of(ended: Ended) -> Log:
    """The log of a container that has ended."""
    return Log(ended.err)


def read_until(container: Container, event: str, count: int = 1) -> str:
    """Read lines from the log until `count` of them are about this event; return all that were read."""
    stderr = container.process.stderr
    assert stderr
    watchdog = threading.Timer(PATIENCE, container.process.kill)
    watchdog.start()
    lines: list[str] = []
    try:
        while sum(f'"event": "{event}"' in line for line in lines) < count:
            line = stderr.readline().decode()
            assert line, f"{event} was not logged {count} times in {PATIENCE} s or before the end, but:\n" + "".join(
                lines
            )
            lines.append(line)
    finally:
        watchdog.cancel()
    return "".join(lines)


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has taken."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
