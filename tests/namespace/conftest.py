"""pyinit as the real PID 1 of a PID namespace of its own, made by unshare(1)."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]

INTERPRETER = os.path.realpath(sys.executable)
"""The interpreter itself, not the virtual environment's link to it."""

PATIENCE = 30
"""Seconds that anything may take before a test fails; a good run never waits for them."""

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until `condition` holds; fail after `PATIENCE` seconds with `what` was waited for."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.01)


def descriptors(pid: int, least: int = 3) -> dict[int, str]:
    """The descriptors of a process, without the standard ones (from `least` on), and what they stand for."""
    found = {}
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed just now
            found[int(path.name)] = os.readlink(path)
    return {number: target for number, target in found.items() if number >= least}


class Container:
    """A PID namespace whose PID 1 is the launcher; text in and out."""

    def __init__(self, command: Sequence[str | bytes], **popen: object) -> None:
        settings: dict[str, object] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **popen,
        }
        self.process: subprocess.Popen[bytes] = subprocess.Popen(command, **settings)  # type: ignore[call-overload]

    @property
    def init(self) -> int:
        """The pid of PID 1, as it is seen from outside."""
        found: list[int] = []

        def look() -> list[int]:
            found[:] = [child.pid for child in psutil.Process(self.process.pid).children()]
            return found

        eventually(look, "unshare has started PID 1")
        return found[0]

    def signal(self, number: int) -> None:
        """Send a signal to PID 1 from outside the namespace."""
        os.kill(self.init, number)

    def await_rest(self) -> None:
        """Wait until PID 1 sleeps and has its counters: what it loads a moment after the start is loaded."""
        process = Path(f"/proc/{self.init}")

        def sleeps() -> bool:
            words = (process / "syscall").read_text().split()
            # rt_sigtimedwait(2): the fourth argument is the size of a set of signals.
            is_asleep = len(words) == 9 and words[4] == "0x8"
            return is_asleep and any("pyinit-status" in target for target in descriptors(self.init, least=0).values())

        eventually(sleeps, "PID 1 sleeps and has its counters")

    def say(self, line: str = "") -> None:
        """Write a line to standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def line(self) -> str:
        """The next line of standard output; what there is of it when all is ended, if none comes in `PATIENCE`."""
        assert self.process.stdout is not None
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        try:
            return self.process.stdout.readline().decode("utf-8", "surrogateescape").rstrip("\n")
        finally:
            watchdog.cancel()

    def expect(self, line: str) -> None:
        """The next line of standard output is this one."""
        seen = self.line()
        assert seen == line, (seen, self.process.poll())

    def end(self, patience: float = PATIENCE) -> "Ended":
        """Wait for the end, `patience` seconds at most, and tell how it was."""
        out, err = self.process.communicate(timeout=patience)
        return Ended(self.process.returncode, (out or b"").decode(errors="surrogateescape"), (err or b"").decode())


class Ended:
    """How a container ended, and what it wrote."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    def __repr__(self) -> str:
        return f"status {self.status}, stdout {self.out!r}, stderr {self.err!r}"


@pytest.fixture(scope="session")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the launchers ``pyinit`` and ``pyinitctl``, as ``pyinitctl install`` writes them."""
    top = tmp_path_factory.mktemp("installed")
    for folder in (top, *top.parents):  # other users run it, too
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    shutil.copytree(ROOT / "pyinit", top / "lib" / "pyinit", ignore=shutil.ignore_patterns("__pycache__"))
    (top / "bin").mkdir()
    subprocess.run(
        [INTERPRETER, "-m", "pyinit.ctl", "install", top / "bin"], cwd=top / "lib", check=True, capture_output=True
    )
    return top / "bin"


@pytest.fixture(scope="session")
def launcher(bin_folder: Path) -> str:
    """The installed launcher."""
    return str(bin_folder / "pyinit")


Start = Callable[..., Container]
Run = Callable[..., Ended]


@pytest.fixture
def start(launcher: str) -> Iterator[Start]:
    """Start pyinit with these words as PID 1; whatever is left of it is killed after the test.

    ``before`` are words put in front of the launcher, inside the namespace.
    """
    containers: list[Container] = []

    def start(*words: str | bytes, before: Sequence[str] = (), **popen: object) -> Container:
        container = Container([*UNSHARE, *before, launcher, *words], **popen)
        containers.append(container)
        return container

    yield start
    for container in containers:
        container.process.send_signal(signal.SIGKILL)  # --kill-child takes PID 1, and the kernel all others, with it
        container.process.communicate()


@pytest.fixture
def run(start: Start) -> Run:
    """Run pyinit with these words as PID 1 until it ends."""

    def run(*words: str | bytes, **popen: object) -> Ended:
        return start(*words, **popen).end()

    return run


def python(program: str, *arguments: str) -> list[str]:
    """A workload in Python: the words that run `program` with the interpreter, quickly."""
    return [INTERPRETER, "-ISc", program, *arguments]


def clean_environment(**variables: str) -> Mapping[str, str]:
    """A small environment: PATH, and what is asked for."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), **variables}
