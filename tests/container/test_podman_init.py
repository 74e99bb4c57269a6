"""`podman run --init` with pyinit as podman's init, for containers that have Python at the same path."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest

from testing.base_images import SLIM
from testing.containers import LISTER, Process, listed
from testing.podman import Podman, private_podman
from testing.waiting import eventually

from .test_docker_init import install


class Plain:
    """A container of an image without pyinit, with ``--init``."""

    def __init__(self, podman: Podman, image: str, *command: str) -> None:
        self._podman = podman
        self._id = podman("create", "--init", "--network=none", image, *command).strip()
        podman("start", self._id)

    def processes(self) -> list[Process]:
        """Its processes, without the lister."""
        found = listed(self.execute("python3", "-B", "-c", LISTER))
        return [process for process in found if process.parent != 0 or process.pid == 1]

    def execute(self, *command: str) -> str:
        """The output of a command in it; fails if the command does."""
        return self._podman("exec", self._id, *command)

    def signal(self, name: str) -> None:
        """Send a signal to its PID 1."""
        self._podman("kill", f"--signal={name}", self._id)

    def end(self) -> tuple[str, str]:
        """Wait for the end, remove the container, and return the exit status and the output."""
        status = self._podman("wait", self._id).strip()
        said = self._podman("logs", self._id)
        self._podman("rm", self._id)
        return status, said


@contextmanager
def podman_with_init(engine: docker.DockerClient, base: str, folder: Path) -> Iterator[tuple[Podman, str]]:
    """A podman whose init is pyinit in a single file, made by the Python of a base image, and that image's name."""
    with private_podman(install(engine, base, folder / "podman-init")) as podman:
        yield podman, podman.load(engine, base)


def reaps_and_forwards(podman: Podman, image: str) -> None:
    """Check that the init is pyinit, reaps an orphan, forwards a signal, and exits with the workload's status."""
    container = Plain(podman, image, "sh", "-c", "trap 'exit 7' TERM; (sleep 100 &); while :; do sleep 0.05; done")
    [orphan] = eventually(lambda: [process.pid for process in container.processes() if process.command == "sleep 100"])
    assert re.match(r"\S*python3\S* -ISBXutf8 /\S+/podman-init -- sh -c ", container.processes()[0].command)
    container.execute("sh", "-c", f"kill {orphan}")
    eventually(
        lambda: [process.pid for process in container.processes()],
        "it is reaped",
        holds=lambda pids: orphan not in pids,
    )
    container.signal("TERM")
    assert container.end() == ("7", "")


@pytest.fixture(scope="module")
def podman(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Podman, str]]:
    """A podman whose init is pyinit, and the image that it has."""
    with podman_with_init(engine, SLIM, tmp_path_factory.mktemp("init")) as podman:
        yield podman


def test_it_is_the_init_of_an_image_without_pyinit(podman: tuple[Podman, str]) -> None:
    """It reaps, forwards, and exits with the status of the workload. Like catatonit, it writes nothing."""
    reaps_and_forwards(*podman)


def test_a_program_that_does_not_exist(podman: tuple[Podman, str]) -> None:
    """The status is catatonit's, the message is pyinit's."""
    status, said = Plain(*podman, "no-such-program").end()
    assert status == "1"
    assert re.fullmatch(r"pyinit: cannot find 'no-such-program' in PATH \(\S+\)\n", said), said
