"""The engine, compose and podman of Debian 12: Docker 20.10, compose 1.29, podman 4.

Everything else is seen on current ones.
"""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.images import Image

from testing import base_images, compose
from testing.base_images import BASE_IMAGES, DEBIAN
from testing.containers import Containers, ended, processes, stopped
from testing.engine import OLD, connect, engine_of
from testing.images import pyinit_on
from testing.podman import Podman
from testing.waiting import eventually

from .test_compose import Project, running
from .test_kubernetes import LONGER, PLAIN, Pods
from .test_podman_init import podman_with_init, reaps_and_forwards
from .test_shutdown import LAUNCHER, LONG, SAVER


@pytest.fixture(scope="module")
def old_engine() -> Iterator[docker.DockerClient]:
    """The engine, with a base image. As long as it runs, docker, compose and podman are those of its Debian."""
    with engine_of(OLD), connect() as client:
        assert client.version()["Version"].startswith("20.10.")
        [base] = [base for base in BASE_IMAGES if base.tag == DEBIAN]
        base_images.provide(client, base)
        yield client


@pytest.fixture(scope="module")
def old_image(old_engine: docker.DockerClient) -> Iterator[Image]:
    """The image of the project's Dockerfile."""
    with pyinit_on(old_engine, DEBIAN) as image:
        yield image


@pytest.fixture(scope="module")
def old_podman(
    old_engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Podman, str]]:
    """A podman whose init is pyinit, and the base image that it has."""
    with podman_with_init(old_engine, DEBIAN, tmp_path_factory.mktemp("init")) as podman:
        yield podman


def test_image_runs_and_stops(old_engine: docker.DockerClient, old_image: Image) -> None:
    """The children of the workload save their work, and the status is the workload's."""
    with Containers(old_engine, old_image) as containers:
        container = containers.start("sh", "-c", LAUNCHER, SAVER, environment=LONG)
        eventually(lambda: container.logs().decode(), holds=lambda said: said.count(": ready\n") == 3)
        end = stopped(container)
    assert end.status == 143
    assert end.output.count(": saved\n") == 3


def test_compose(old_engine: docker.DockerClient) -> None:
    """compose.yaml, built and run: no orphan is left, and the service ends by TERM."""
    assert compose.provide()[0].endswith("/docker-compose")
    with running(Project(old_engine, DEBIAN)) as project:
        assert "orphan" in project.ask("web", "/")
        container = project.container("web")
        eventually(lambda: processes(container), holds=lambda seen: len(seen) == 2)
        project.compose("stop", "web")
        assert ended(container).status == 143


def test_pod(old_podman: tuple[Podman, str], old_engine: docker.DockerClient, old_image: Image, tmp_path: Path) -> None:
    """A Kubernetes file: the children of the workload save their work when the pod is stopped."""
    podman, _ = old_podman
    assert podman("--version").startswith("podman version 4.")
    pods = Pods(podman, podman.load(old_engine, old_image.tags[0]), tmp_path)
    try:
        pod = pods.play(PLAIN, "sh", "-c", LAUNCHER, SAVER, **LONGER)
        pod.await_ready(3)
        pod.stop()
        assert pod.state() == "exited 143"
        assert pod.logs().count(": saved\n") == 3
    finally:
        pods.kill()


def test_init_of_podman(old_podman: tuple[Podman, str]) -> None:
    """`podman run --init`, with pyinit as `init_path`."""
    reaps_and_forwards(*old_podman)
