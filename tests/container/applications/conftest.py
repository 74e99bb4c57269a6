"""The images of examples/recipes, built as the recipe says."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import docker
import pytest
from docker.models.images import Image

from ..support import EXAMPLES, ROOT, Containers, network_of_builds

BASE = "pyinit-base:slim"
REPOSITORY = f"pyinit-test-recipes-{uuid4().hex[:12]}"

Recipe = Callable[[str], Image]


@pytest.fixture(scope="session")
def pyinit_image(engine: docker.DockerClient) -> Iterator[Image]:
    """What ``FROM pyinit`` stands for in a recipe."""
    tag = f"{REPOSITORY}:base"
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
            text = (folder / "Dockerfile").read_text().replace("FROM pyinit\n", f"FROM {REPOSITORY}:base\n")
            dockerfile = Path(tmp_path_factory.mktemp("recipe"), "Dockerfile")
            dockerfile.write_text(text)
            made[name], _ = engine.images.build(
                path=str(folder),
                dockerfile=str(dockerfile),
                tag=f"{REPOSITORY}:{name}",
                network_mode=network_of_builds(engine),
                rm=True,
                forcerm=True,
            )
        return made[name]

    yield build
    for name in made:
        engine.images.remove(f"{REPOSITORY}:{name}", force=True)


@pytest.fixture
def containers(request: pytest.FixtureRequest, engine: docker.DockerClient, recipe: Recipe) -> Iterator[Containers]:
    """Makes containers of the recipe that the test file is named after."""
    containers = Containers(engine, recipe(request.path.stem.removeprefix("test_")))
    yield containers
    containers.remove()
