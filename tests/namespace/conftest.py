"""pyinit, and other programs, as the real PID 1 of a PID namespace of its own."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from testing.coverage import copy_package
from testing.namespaces import IN_TIME, INTERPRETER, UNSHARE, Container, Ended
from testing.processes import descriptors
from testing.waiting import PATIENCE, eventually

from .family import Family

Start = Callable[..., Container]
Run = Callable[..., Ended]
Ctl = Callable[..., subprocess.CompletedProcess[str]]

STAYS = """if True:
    import os, signal, time
    signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"asked\\n"))  # print() might be interrupting print()
    print("ready", flush=True)
    while True:
        time.sleep(0.05)
"""
"""A process that does not end when it is asked to."""


def await_counters(container: Container) -> None:
    """Wait until PID 1 has published its counters: it has the file for them a moment earlier."""

    def are_published() -> bool:
        files = descriptors(container.init, least=0)
        numbers = [number for number, target in files.items() if "pyinit-status" in target]
        return any(os.stat(f"/proc/{container.init}/fd/{number}").st_size for number in numbers)

    eventually(are_published, "PID 1 has published its counters")


def ending(*pids: str) -> list[str]:
    """Words to put in front of a command in a container: these processes become zombies first.

    The command has a high priority: it looks at them within a second or two, however loaded the machine is.
    """
    script = """
        for pid in $0; do
            kill -KILL "$pid"
            until grep -q '^State:.Z' "/proc/$pid/status"; do sleep 0.01; done
        done
        exec "$@"
    """
    return [*IN_TIME, "sh", "-c", script, " ".join(pids)]


@pytest.fixture(scope="session")
def bin_folder(tmp_path_factory: pytest.TempPathFactory, lines_run: Path | None) -> Path:
    """A folder with the launchers ``pyinit`` and ``pyinitctl``, as ``pyinitctl install`` writes them."""
    top = tmp_path_factory.mktemp("installed")
    for folder in (top, *top.parents):  # other users run it, too
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    copy_package(top / "lib" / "pyinit", lines_run)
    (top / "bin").mkdir()
    subprocess.run(
        [INTERPRETER, "-m", "pyinit.ctl", "install", top / "bin"], cwd=top / "lib", check=True, capture_output=True
    )
    return top / "bin"


@pytest.fixture(scope="session")
def launcher(bin_folder: Path) -> str:
    """The installed launcher."""
    return str(bin_folder / "pyinit")


@pytest.fixture(scope="session")
def family(bin_folder: Path) -> Family:
    """A workload that is a family of processes; all users may run it."""
    return Family(bin_folder.parent)


@pytest.fixture
def bare() -> Iterator[Start]:
    """Start these words as PID 1, without pyinit; the container is killed after the test."""
    with ExitStack() as stack:
        yield lambda *words, **popen: stack.enter_context(Container([*UNSHARE, *words], **popen))


@pytest.fixture
def start(bare: Start, launcher: str) -> Start:
    """Start pyinit with these words as PID 1; ``before`` are words put in front of it, inside the namespace."""

    def start(*words: str | bytes, before: Sequence[str] = (), **popen: object) -> Container:
        return bare(*before, launcher, *words, **popen)

    return start


@pytest.fixture
def run(start: Start) -> Run:
    """Run pyinit with these words as PID 1 until it ends."""
    return lambda *words, **popen: start(*words, **popen).end()


@pytest.fixture
def ctl(bin_folder: Path) -> Ctl:
    """Run ``pyinitctl`` in a container, as ``docker exec`` does; ``before`` are words put in front of it."""

    def ctl(container: Container, *words: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        command = [*container.enter, *before, str(bin_folder / "pyinitctl"), *words]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)

    return ctl
