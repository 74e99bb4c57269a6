"""Builds the images of examples/recipes from their Dockerfiles."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import docker
import pytest
from docker.models.images import Image

from testing import EXAMPLES, packages
from testing.base_images import SLIM
from testing.containers import Containers
from testing.images import built
from tests.container.conftest import Images

Recipe = Callable[[str], Image]


@pytest.fixture(scope="session")
def pyinit_image(images: Images) -> Image:
    """The image that ``FROM pyinit`` means in a recipe."""
    return images(SLIM)


@pytest.fixture(scope="session")
def recipe(engine: docker.DockerClient, pyinit_image: Image) -> Iterator[Recipe]:
    """A function that builds the image of a recipe by name, once."""
    with ExitStack() as stack:

        @cache
        def build(name: str) -> Image:
            folder = EXAMPLES / "recipes" / name
            # The engine may already have another image of that name.
            text = (folder / "Dockerfile").read_text().replace("FROM pyinit\n", f"FROM {pyinit_image.tags[0]}\n")
            return stack.enter_context(built(engine, text, folder))

        yield build


@pytest.fixture(scope="session")
def under_tini(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Options of a container whose PID 1 is tini. They disable the command of the image."""
    # A copy where the engine sees it: its /usr may be that of another root.
    path = str(shutil.copy(packages.provide("tini-static", "tini"), tmp_path_factory.mktemp("tini")))
    return {"entrypoint": ["/tini", "--"], "volumes": {path: {"bind": "/tini", "mode": "ro"}}}


@pytest.fixture
def containers(request: pytest.FixtureRequest, engine: docker.DockerClient, recipe: Recipe) -> Iterator[Containers]:
    """Makes containers of the recipe that the test file is named after."""
    with Containers(engine, recipe(request.path.stem.removeprefix("test_"))) as containers:
        yield containers
