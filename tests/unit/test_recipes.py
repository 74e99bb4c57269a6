"""docs/recipes.md shows exactly the Dockerfiles that the tests build."""

import re

import pytest

from testing import EXAMPLES, ROOT

PAGE = (ROOT / "docs" / "recipes.md").read_text()
SHOWN = re.findall(r"^```dockerfile\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
RECIPES = sorted(path.parent.name for path in (EXAMPLES / "recipes").glob("*/Dockerfile"))


@pytest.mark.parametrize("name", RECIPES)
def test_the_page_shows_the_recipe_as_it_is_built(name: str) -> None:
    """Line by line. The page also names the recipe's folder."""
    assert (EXAMPLES / "recipes" / name / "Dockerfile").read_text() in SHOWN
    assert f"examples/recipes/{name}" in PAGE


def test_the_page_shows_no_other_dockerfile() -> None:
    """The tests build each Dockerfile on the page."""
    assert len(SHOWN) == len(RECIPES) > 7
