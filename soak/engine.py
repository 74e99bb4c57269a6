"""The Docker engine: pyinit's image with the soak's workload in it, and its containers as seen from outside."""

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
"""The program in C, in the PATH of the image."""
NOTHING = "/usr/local/bin/nothing"
"""There, too: a program in Python that does nothing."""
ASKED_TO_STOP = 7
"""What it exits with on TERM."""
BRIEF = "--drain-timeout=0.2"
"""For the straggler that it leaves behind, which has to be killed."""

SECONDS_TO_WAIT = 20.0
_GROWTH = 64
"""So many kB more of its own PID 1 may have after a storm: a list that has been longer once, and never is again."""

T = TypeVar("T")


@contextmanager
def equip(folder: Path) -> Iterator[tuple[docker.DockerClient, str]]:
    """The engine, and the tag of pyinit's image there, as long as the context lasts; `folder` is for its files.

    It is the image of the project's Dockerfile, and the workload. Raises Unavailable.
    """
    folder.mkdir()
    compile_c((PROGRAMS / f"{WORKLOAD}.c").read_text(), folder / WORKLOAD)
    (folder / Path(NOTHING).name).touch()
    with connect() as client, pyinit_on(client, DEBIAN, folder) as image:
        yield client, image.tags[0]


@contextmanager
def contained(setting: Setting, *command: str, **options: Any) -> Iterator["Contained"]:
    """A container for `pyinit` with the words of `command`; `options` are those of the SDK's ``containers.create``."""
    assert setting.client
    # No init of the engine's own before ours, which it may be set up to put there; and no network: it takes time.
    defaults = {"entrypoint": ["pyinit"], "init": False, "network_mode": "none"}
    with created(setting.client, setting.image, *command, **{**defaults, **options}) as container:
        container.start()
        container.reload()
        yield Contained(setting.client, container)


class Contained:
    """A container that runs, and its PID 1 as seen from outside."""

    def __init__(self, client: docker.DockerClient, container: Container) -> None:
        self._api = client.api
        self.container = container
        self.pid: int = container.attrs["State"]["Pid"]
        """That of PID 1 outside; 0 if it has ended already."""

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
        """Return when the workload has said a line of these words, so many times."""
        self.until(lambda: self.output, lambda said: said.splitlines().count(words) >= count, seconds)

    def until(self, look: Callable[[], T], holds: Callable[[T], bool], seconds: float = SECONDS_TO_WAIT) -> T:
        """Look until what is seen holds, and return it.

        Raises:
            Broken: it does not, for so long, or the container has ended.
        """

        def look_while_it_is_there() -> T:
            was_there = self.is_there
            if not holds(seen := look()) and not was_there:
                raise Broken(f"the container has ended: {self.end()}, seen before: {seen!r}")
            return seen

        try:
            return eventually(look_while_it_is_there, holds=holds, patience=seconds)
        except Failed as error:
            raise Broken(f"{error}; said: {self.output[-500:]!r}, {self.errors!r}") from None

    def send(self, number: int) -> None:
        """Send PID 1 a signal from outside, as the engine does, but also while it is paused."""
        if not self.is_there:
            raise Broken(f"the container has ended: {self.end()}")
        os.kill(self.pid, number)

    def execute(self, *command: str) -> tuple[int, str]:
        """Run a command beside the workload: its exit status and all that it says."""
        done = self.container.exec_run(list(command))
        assert isinstance(done.output, bytes)
        return done.exit_code or 0, done.output.decode()

    def begin(self, *command: str) -> int:
        """Begin a command beside the workload; its pid outside."""
        made = self._api.exec_create(self.container.id, list(command))["Id"]
        self._api.exec_start(made, detach=True)
        return int(self.until(lambda: self._api.exec_inspect(made)["Pid"], bool))

    def await_quiet(self) -> None:
        """Return when PID 1 has no child but the workload.

        Raises:
            Broken: it has not.
        """
        self.until(
            lambda: Counter(state(pid) for pid in children(self.pid)),
            lambda seen: seen.total() == 1 and not seen["Z"],
        )

    def descriptors(self) -> int:
        """How many PID 1 has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def status(self) -> dict[str, Any]:
        """What pyinitctl tells."""
        code, text = self.execute("pyinitctl", "status", "--json")
        if code:
            raise Broken(f"pyinitctl status exits with {code}: {text}")
        found: dict[str, Any] = json.loads(text)
        return found

    def end(self, seconds: float = SECONDS_TO_WAIT) -> Ended:
        """Wait for the end of the container.

        Raises:
            Broken: it does not come.
        """
        try:
            eventually(lambda: not self.is_there, "PID 1 has ended", patience=seconds)
        except Failed as error:
            raise Broken(f"{error}; said: {self.output!r}, {self.errors!r}") from None
        return ended(self.container)


class Growth:
    """What PID 1 holds now, to be compared with later."""

    def __init__(self, container: Contained) -> None:
        self._container = container
        self._descriptors = container.descriptors()
        self._memory = memory(container.pid)

    def check(self) -> None:
        """See that it holds no more.

        Raises:
            Broken: it does.
        """
        # It may be looking into /proc just now.
        self._container.until(self._container.descriptors, lambda now: now <= self._descriptors)
        now = memory(self._container.pid)
        if now > self._memory + _GROWTH:
            raise Broken(f"PID 1 has {now} kB of its own, after {self._memory} kB")


def state(pid: int) -> str:
    """The state of a process as proc(5) has it; empty if it has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def children(parent: int) -> list[int]:
    """The children of a process, zombies too; none if it has gone."""
    try:
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return []


def expect(seen: object, expected: object, what: str) -> None:
    """See that it is so.

    Raises:
        Broken: it is not.
    """
    if seen != expected:
        raise Broken(f"{what}: {seen!r}, where {expected!r} should be")


def expect_end(end: Ended, status: int, lines: int) -> None:
    """See that a container has ended with this status, and with so many lines of pyinit's.

    Raises:
        Broken: it has not.
    """
    said = end.errors.splitlines()
    if end.status != status or len(said) != lines or not all(line.startswith("pyinit: ") for line in said):
        raise Broken(f"ended with {end.status} where {status} should be, and {lines} lines; said: {end.errors!r}")
