"""docs/recipes.md shows exactly the Dockerfiles that the tests build, and files of the same folders."""

import pytest

from testing import EXAMPLES, ROOT
from testing.blocks import blocks

PAGE = ROOT / "docs" / "recipes.md"
FOLDER = EXAMPLES / "recipes"
RECIPES = sorted(path.parent.name for path in FOLDER.glob("*/Dockerfile"))


@pytest.mark.parametrize("name", RECIPES)
def test_the_page_shows_the_recipe_as_it_is_built(name: str) -> None:
    """Line by line. The page also names the recipe's folder."""
    assert (FOLDER / name / "Dockerfile").read_text() in blocks(PAGE)
    assert f"examples/recipes/{name}" in PAGE.read_text()


def test_the_page_shows_nothing_else() -> None:
    """The tests build the folders, so they run each Dockerfile, script, program and configuration on the page."""
    files = [path.read_text() for path in FOLDER.glob("*/*") if path.is_file()]
    assert [text for text in blocks(PAGE) if text not in files] == []
    assert len(RECIPES) > 7
