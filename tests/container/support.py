"""Containers, and what can be seen of them."""

import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import docker
from docker.models.containers import Container
from docker.models.images import Image

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

LISTER = (EXAMPLES / "ps.py").read_text()
SECONDS_TO_WAIT = 20

T = TypeVar("T")


@dataclass(frozen=True)
class Ended:
    """How a container ended and what it said."""

    status: int
    output: str
    errors: str


class Process(NamedTuple):
    """A process as its container sees it."""

    pid: int
    parent: int
    state: str
    command: str


class Containers:
    """Makes containers of one image, and removes them at the end."""

    def __init__(self, engine: docker.DockerClient, image: Image) -> None:
        self._engine = engine
        self._image = image
        self._made: list[Container] = []

    def create(self, *command: str, image: Image | None = None, **options: Any) -> Container:
        """A container that is not started yet; `options` are those of the SDK's `containers.create`."""
        container = self._engine.containers.create(image or self._image, list(command), **options)
        self._made.append(container)
        return container

    def start(self, *command: str, **options: Any) -> Container:
        """A container that runs."""
        container = self.create(*command, **options)
        container.start()
        return container

    def start_sleeper(self, **options: Any) -> Container:
        """A container whose workload sleeps, and has begun to: what comes next cannot be too early for it."""
        container = self.start("sh", "-c", "echo asleep; exec sleep 100", **options)
        await_output(container, "asleep")
        return container

    def run(self, *command: str, **options: Any) -> Ended:
        """Run a container to its end."""
        return ended(self.start(*command, **options))

    def remove(self) -> None:
        """Remove every container that was made."""
        while self._made:
            self._made.pop().remove(force=True, v=True)


def ended(container: Container) -> Ended:
    """Wait for the end of a container."""
    status = container.wait(timeout=SECONDS_TO_WAIT)["StatusCode"]
    output, errors = (container.logs(stdout=out, stderr=not out).decode() for out in (True, False))
    return Ended(status, output, errors)


@contextmanager
def built(engine: docker.DockerClient, dockerfile: str) -> Iterator[Image]:
    """An image made of a Dockerfile alone, as long as the context lasts."""
    tag = f"pyinit-test-{uuid4().hex[:12]}"
    image, _ = engine.images.build(fileobj=BytesIO(dockerfile.encode()), tag=tag, rm=True, forcerm=True)
    try:
        yield image
    finally:
        engine.images.remove(tag, force=True)


def network_of_builds(engine: docker.DockerClient) -> str | None:
    """The host's: it leads to the package indexes also where the engine's own leads nowhere.

    With user namespaces the engine refuses it, and its own has to do.
    """
    return None if "name=userns" in engine.info()["SecurityOptions"] else "host"


def execute(container: Container, *command: str) -> str:
    """What a command says that is run beside the workload; fails if it does."""
    status, output = container.exec_run(list(command))
    assert isinstance(output, bytes)
    assert status == 0, output.decode()
    return output.decode()


def read_file(container: Container, path: str) -> str:
    """What a file of the container holds, also when that has ended."""
    parts, _ = container.get_archive(path)
    with tarfile.open(fileobj=BytesIO(b"".join(parts))) as archive:
        [member] = archive.getmembers()
        file = archive.extractfile(member)
        assert file is not None, member
        return file.read().decode()


def processes(container: Container) -> list[Process]:
    """What runs in the container, without the lister itself."""
    rows = [line.split(maxsplit=3) for line in execute(container, "python3", "-B", "-c", LISTER).splitlines()[1:]]
    found = [Process(int(pid), int(parent), state, command) for pid, parent, state, command in rows]
    # What `docker exec` brings in has its parent outside, number 0; so has PID 1.
    return [process for process in found if process.parent != 0 or process.pid == 1]


def await_condition(look: Callable[[], T], holds: Callable[[T], bool], seconds: float = SECONDS_TO_WAIT) -> T:
    """Look until what is seen holds, and return it; fail with what was seen last."""
    deadline = time.monotonic() + seconds
    while not holds(seen := look()):
        assert time.monotonic() < deadline, f"still seen after {seconds} seconds:\n{seen}"
        time.sleep(seconds / 1000)
    return seen


def await_output(container: Container, text: str, seconds: float = SECONDS_TO_WAIT) -> str:
    """Everything that the container has said, once that holds `text`."""
    return await_condition(lambda: container.logs().decode(), lambda said: text in said, seconds)
