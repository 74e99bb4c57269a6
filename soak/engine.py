"""The Docker engine: pyinit's image with the soak's workload added, and containers as seen from outside."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import docker
from docker.models.containers import Container

from soak.fault import PROGRAMS, Broken, Setting
from testing.base_images import DEBIAN
from testing.compiler import compile_c
from testing.containers import Ended, created, ended
from testing.engine import connect
from testing.images import pyinit_on
from testing.processes import memory
from testing.waiting import Failed, eventually

WORKLOAD = "contained"
"""The C program, in the PATH of the image."""
NOTHING = "/usr/local/bin/nothing"
"""An empty Python program in the image."""
ASKED_TO_STOP = 7
"""Exit status of the workload on SIGTERM."""
BRIEF = "--drain-timeout=0.2"
"""A short drain: the workload leaves a straggler that has to be killed."""

SECONDS_TO_WAIT = 20.0
_GROWTH = 64
"""kB of private memory that PID 1 may gain in a storm, for example for a list that was longer than ever before."""

T = TypeVar("T")


@contextmanager
def equip(folder: Path) -> Iterator[tuple[docker.DockerClient, str]]:
    """Yield the engine and the tag of pyinit's image; `folder` is for files of the image.

    The image is built by the project's Dockerfile, with the workload added. Raises Unavailable.
    """
    folder.mkdir()
    compile_c((PROGRAMS / f"{WORKLOAD}.c").read_text(), folder / WORKLOAD)
    (folder / Path(NOTHING).name).touch()
    with connect() as client, pyinit_on(client, DEBIAN, folder) as image:
        yield client, image.tags[0]


@contextmanager
def contained(setting: Setting, *command: str, **options: Any) -> Iterator["Contained"]:
    """A running container with the command line `pyinit` `command`; `options` are those of ``containers.create``."""
    assert setting.client
    # Without the init that the engine may be configured to add, and without a network, which takes time.
    defaults = {"entrypoint": ["pyinit"], "init": False, "network_mode": "none"}
    with created(setting.client, setting.image, *command, **{**defaults, **options}) as container:
        container.start()
        container.reload()
        yield Contained(setting.client, container)


class Contained:
    """A running container, and its PID 1 as seen from outside."""

    def __init__(self, client: docker.DockerClient, container: Container) -> None:
        self._api = client.api
        self.container = container
        self.pid: int = container.attrs["State"]["Pid"]
        """The pid of PID 1 outside of the container; 0 if it has already exited."""

    @property
    def is_there(self) -> bool:
        return self.pid != 0 and state(self.pid) not in ("", "Z", "X")

    @property
    def output(self) -> str:
        return self.container.logs(stderr=False).decode()

    @property
    def errors(self) -> str:
        return self.container.logs(stdout=False).decode(errors="backslashreplace")

    def hear(self, words: str, count: int = 1, seconds: float = SECONDS_TO_WAIT) -> None:
        """Wait until the workload has printed the line `words` `count` times."""
        self.until(lambda: self.output, lambda said: said.splitlines().count(words) >= count, seconds)

    def until(self, look: Callable[[], T], holds: Callable[[T], bool], seconds: float = SECONDS_TO_WAIT) -> T:
        """Call `look` until `holds` accepts its result, and return that.

        Raises:
            Broken: the time is up, or the container has exited.
        """

        def look_while_it_is_there() -> T:
            was_there = self.is_there
            if not holds(seen := look()) and not was_there:
                raise Broken(f"the container has exited: {self.end()}, last seen: {seen!r}")
            return seen

        try:
            return eventually(look_while_it_is_there, holds=holds, patience=seconds)
        except Failed as error:
            raise Broken(f"{error}; output: {self.output[-500:]!r}, stderr: {self.errors!r}") from None

    def send(self, number: int) -> None:
        """Send PID 1 a signal from outside, as the engine does. It also works while the container is paused."""
        if not self.is_there:
            raise Broken(f"the container has exited: {self.end()}")
        os.kill(self.pid, number)

    def execute(self, *command: str) -> tuple[int, str]:
        """Run a command beside the workload; return its exit status and its output."""
        done = self.container.exec_run(list(command))
        assert isinstance(done.output, bytes)
        return done.exit_code or 0, done.output.decode()

    def begin(self, *command: str) -> int:
        """Start a command beside the workload; return its pid outside of the container."""
        made = self._api.exec_create(self.container.id, list(command))["Id"]
        self._api.exec_start(made, detach=True)
        return int(self.until(lambda: self._api.exec_inspect(made)["Pid"], bool))

    def await_quiet(self) -> None:
        """Wait until PID 1 has no child except the workload.

        Raises:
            Broken: it still has another child.
        """
        self.until(
            lambda: Counter(state(pid) for pid in children(self.pid)),
            lambda seen: seen.total() == 1 and not seen["Z"],
        )

    def descriptors(self) -> int:
        """The number of open descriptors of PID 1."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def status(self) -> dict[str, Any]:
        """The output of pyinitctl status."""
        code, text = self.execute("pyinitctl", "status", "--json")
        if code:
            raise Broken(f"pyinitctl status exited with {code}: {text}")
        found: dict[str, Any] = json.loads(text)
        return found

    def end(self, seconds: float = SECONDS_TO_WAIT) -> Ended:
        """Wait until the container has exited.

        Raises:
            Broken: it does not exit.
        """
        try:
            eventually(lambda: not self.is_there, "PID 1 has exited", patience=seconds)
        except Failed as error:
            raise Broken(f"{error}; output: {self.output!r}, stderr: {self.errors!r}") from None
        return ended(self.container)


class Growth:
    """The descriptors and the memory of PID 1 now, to compare with later."""

    def __init__(self, container: Contained) -> None:
        self._container = container
        self._descriptors = container.descriptors()
        self._memory = memory(container.pid)

    def check(self) -> None:
        """Check that they have not grown.

        Raises:
            Broken: they have grown.
        """
        # PID 1 may be reading /proc at this moment.
        self._container.until(self._container.descriptors, lambda now: now <= self._descriptors)
        now = memory(self._container.pid)
        if now > self._memory + _GROWTH:
            raise Broken(f"the private memory of PID 1 has grown from {self._memory} to {now} kB")


def state(pid: int) -> str:
    """The state of a process, a letter as in proc(5); empty if the process does not exist."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def children(parent: int) -> list[int]:
    """The children of a process, including zombies; empty if the process does not exist."""
    try:
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return []


def expect(seen: object, expected: object, what: str) -> None:
    """Check that both are equal; `what` names them.

    Raises:
        Broken: they differ.
    """
    if seen != expected:
        raise Broken(f"{what}: {seen!r} instead of {expected!r}")


def expect_end(end: Ended, status: int, lines: int) -> None:
    """Check that a container has exited with this status, and that pyinit has logged this many lines.

    Raises:
        Broken: one of them differs.
    """
    said = end.errors.splitlines()
    if end.status != status or len(said) != lines or not all(line.startswith("pyinit: ") for line in said):
        raise Broken(f"exited with {end.status} instead of {status}, or not with {lines} lines: {end.errors!r}")
