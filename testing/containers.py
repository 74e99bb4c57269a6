"""Containers of a Docker engine: started, stopped and looked into."""

import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NamedTuple

import docker
from docker.models.containers import Container
from docker.models.images import Image

from testing import ROOT
from testing.waiting import PATIENCE, eventually

LISTER = (ROOT / "examples" / "ps.py").read_text()


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


@contextmanager
def created(client: docker.DockerClient, image: Image | str, *command: str, **options: Any) -> Iterator[Container]:
    """A container that is not started yet. It is removed at the end of the context, even if it runs then.

    `options` are those of the SDK's `containers.create`.
    """
    container = client.containers.create(image, list(command), **options)
    try:
        yield container
    finally:
        container.remove(force=True, v=True)


class Containers(ExitStack):
    """Makes containers of one image, and removes them at the end of the context."""

    def __init__(self, engine: docker.DockerClient, image: Image) -> None:
        super().__init__()
        self._engine = engine
        self._image = image

    def create(self, *command: str, image: Image | None = None, **options: Any) -> Container:
        """A container that is not started yet; `options` are those of the SDK's `containers.create`.

        By default it has a loopback interface alone: an engine takes as long to make another as for all else.
        """
        options = {"network_mode": "none", **options}
        return self.enter_context(created(self._engine, image or self._image, *command, **options))

    def start(self, *command: str, **options: Any) -> Container:
        """A container that runs."""
        container = self.create(*command, **options)
        container.start()
        return container

    def start_sleeper(self, **options: Any) -> Container:
        """A container whose workload sleeps already, so that the next step cannot come too early for it."""
        container = self.start("sh", "-c", "echo asleep; exec sleep 1000", **options)
        await_output(container, "asleep")
        return container

    def run(self, *command: str, **options: Any) -> Ended:
        """Run a container to its end."""
        return ended(self.start(*command, **options))


def ended(container: Container) -> Ended:
    """Wait for the end of a container."""
    status = container.wait(timeout=PATIENCE)["StatusCode"]
    output, errors = (
        container.logs(stdout=out, stderr=not out).decode(errors="backslashreplace") for out in (True, False)
    )
    return Ended(status, output, errors)


def stopped(container: Container, **options: Any) -> Ended:
    """Stop a container as `docker stop` does, and wait for its end; `options` are those of the SDK's `stop`.

    By default the engine kills it when a test would give up: on a loaded machine its own ten seconds may be too few.
    """
    container.stop(**{"timeout": int(PATIENCE), **options})
    return ended(container)


def execute(container: Container, *command: str) -> str:
    """Run a command beside the workload; return its output, and fail if the command fails."""
    status, output = container.exec_run(list(command))
    assert isinstance(output, bytes)
    assert status == 0, output.decode()
    return output.decode()


def printed(container: Container, *command: str) -> str:
    """The output of a command that prints something and may be repeated: a loaded engine may lose what it prints."""
    return eventually(lambda: execute(container, *command))


def await_counters(container: Container) -> None:
    """Wait until pyinit has published its counters: it does so a moment after the start of the workload."""
    eventually(lambda: container.exec_run(["pyinitctl", "status"])[0] == 0, "the counters are published")


def read_file(container: Container, path: str) -> str:
    """The text of a file in the container, which may have ended."""
    parts, _ = container.get_archive(path)
    with tarfile.open(fileobj=BytesIO(b"".join(parts))) as archive:
        [member] = archive.getmembers()
        file = archive.extractfile(member)
        assert file is not None, member
        return file.read().decode()


def listed(text: str) -> list[Process]:
    """The processes that `LISTER` prints."""
    rows = [line.split(maxsplit=3) for line in text.splitlines()[1:]]
    return [Process(int(pid), int(parent), state, command) for pid, parent, state, command in rows]


def processes(container: Container) -> list[Process]:
    """The processes in the container, without the lister itself."""
    found = listed(printed(container, "python3", "-B", "-c", LISTER))
    # A process from `docker exec` has its parent outside, which shows as 0; so has PID 1.
    return [process for process in found if process.parent != 0 or process.pid == 1]


def await_output(container: Container, text: str, patience: float = PATIENCE) -> str:
    """Wait until the container's output contains `text`; return all of the output."""
    return eventually(lambda: container.logs().decode(), holds=lambda said: text in said, patience=patience)
