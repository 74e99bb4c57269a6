"""The engine, the image under test, and containers that are removed afterwards.

A test runs on one base if its result depends only on the kernel or the engine. It is marked `each_base`, and runs on
all bases, if its result depends on the interpreter or the C library: compiling and importing at the start, the numbers
of signals, the errors of exec(2), users and resources, and pyinitctl, which uses the standard library.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import docker
import pytest
from docker.models.images import Image

from testing.base_images import BASE_IMAGES, SLIM
from testing.containers import Containers
from testing.engine import connect
from testing.images import pyinit_on

Images = Callable[[str], Image]


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The engine at DOCKER_HOST, which `make test` provides."""
    with connect() as client:
        yield client


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the bases of a test."""
    if "base" in metafunc.fixturenames:
        tags = [base.tag for base in BASE_IMAGES] if metafunc.definition.get_closest_marker("each_base") else [SLIM]
        metafunc.parametrize("base", tags, indirect=True, scope="session")


@pytest.fixture(scope="session")
def base(request: pytest.FixtureRequest) -> str:
    """The tag of the image to build on."""
    return str(request.param)


@pytest.fixture(scope="session")
def images(engine: docker.DockerClient) -> Iterator[Images]:
    """Makes the image of the project's Dockerfile on a base, once."""
    with ExitStack() as stack:
        yield cache(lambda base: stack.enter_context(pyinit_on(engine, base)))


@pytest.fixture(scope="session")
def image(images: Images, base: str) -> Image:
    """The image of the project's Dockerfile."""
    return images(base)


@pytest.fixture
def containers(engine: docker.DockerClient, image: Image) -> Iterator[Containers]:
    """Makes containers of the image under test."""
    with Containers(engine, image) as containers:
        yield containers
