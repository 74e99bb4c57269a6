"""The images of examples/recipes, built as the recipe says."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from docker.models.images import Image

from ..support import EXAMPLES, ROOT

BASE = "pyinit-base:slim"
TAG = f"pyinit-test-recipes-{os.getpid()}"

Recipe = Callable[[str], Image]


@pytest.fixture(scope="session")
def pyinit_image(engine: docker.DockerClient) -> Iterator[Image]:
    """What ``FROM pyinit`` stands for in a recipe."""
    tag = f"{TAG}:base"
    image, _ = engine.images.build(path=str(ROOT), buildargs={"BASE_IMAGE": BASE}, tag=tag, rm=True, forcerm=True)
    yield image
    engine.images.remove(tag, force=True)


@pytest.fixture(scope="session")
def recipe(
    engine: docker.DockerClient, pyinit_image: Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recipe]:
    """Builds the image of the recipe that is named, once."""
    made: dict[str, Image] = {}

    def build(name: str) -> Image:
        if name not in made:
            folder = EXAMPLES / "recipes" / name
            # The engine of a user may have another image by that name.
            text = (folder / "Dockerfile").read_text().replace("FROM pyinit\n", f"FROM {pyinit_image.tags[0]}\n")
            dockerfile = Path(tmp_path_factory.mktemp("recipe"), "Dockerfile")
            dockerfile.write_text(text)
            made[name], _ = engine.images.build(
                path=str(folder),
                dockerfile=str(dockerfile),
                tag=f"{TAG}:{name}",
                network_mode="host",  # to reach the package index where the engine's own bridge leads nowhere
                rm=True,
                forcerm=True,
            )
        return made[name]

    yield build
    for image in made.values():
        for tag in image.tags:
            engine.images.remove(tag, force=True)
