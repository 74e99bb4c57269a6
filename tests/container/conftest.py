"""The engine, the image under test on each base, and containers that are removed afterwards."""

from collections.abc import Iterator

import docker
import pytest
from docker.models.images import Image

from testing.base_images import BASE_IMAGES
from testing.containers import Containers
from testing.engine import connect
from testing.images import pyinit_on


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The engine of DOCKER_HOST, which `make test` sees to."""
    with connect() as client:
        yield client


@pytest.fixture(scope="session", params=[base.tag for base in BASE_IMAGES])
def base(request: pytest.FixtureRequest) -> str:
    """The tag of the image to build on."""
    return str(request.param)


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient, base: str) -> Iterator[Image]:
    """The image of the project's Dockerfile, built as anyone would."""
    with pyinit_on(engine, base) as image:
        yield image


@pytest.fixture
def containers(engine: docker.DockerClient, image: Image) -> Iterator[Containers]:
    """Makes containers of the image under test."""
    with Containers(engine, image) as containers:
        yield containers
