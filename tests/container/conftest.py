"""The engine, the image under test on each base, and containers that are removed afterwards."""

import os
from collections.abc import Iterator
from contextlib import closing

import docker
import pytest
from docker.models.images import Image

from tools.base_images import BASE_IMAGES

from .support import ROOT, Containers


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The engine of DOCKER_HOST, which `make test` sees to."""
    with closing(docker.from_env()) as client:
        yield client


@pytest.fixture(scope="session", params=[base.tag for base in BASE_IMAGES])
def base(request: pytest.FixtureRequest) -> str:
    """The tag of the image to build on."""
    return str(request.param)


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient, base: str) -> Iterator[Image]:
    """The image of the project's Dockerfile, built as anyone would."""
    tag = f"pyinit-test-{os.getpid()}:{base.partition(':')[2]}"
    image, _ = engine.images.build(path=str(ROOT), buildargs={"BASE_IMAGE": base}, tag=tag, rm=True, forcerm=True)
    yield image
    engine.images.remove(tag, force=True)


@pytest.fixture
def containers(engine: docker.DockerClient, image: Image) -> Iterator[Containers]:
    """Makes containers of the image under test."""
    containers = Containers(engine, image)
    yield containers
    containers.remove()
