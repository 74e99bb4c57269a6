"""docs/recipes.md shows the Dockerfiles that the tests build, and all of them."""

import re

import pytest

from testing import EXAMPLES, ROOT

PAGE = (ROOT / "docs" / "recipes.md").read_text()
SHOWN = re.findall(r"^```dockerfile\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
RECIPES = sorted(path.parent.name for path in (EXAMPLES / "recipes").glob("*/Dockerfile"))


@pytest.mark.parametrize("name", RECIPES)
def test_the_page_shows_the_recipe_as_it_is_built(name: str) -> None:
    """Line for line, and where its files are."""
    assert (EXAMPLES / "recipes" / name / "Dockerfile").read_text() in SHOWN
    assert f"examples/recipes/{name}" in PAGE


def test_the_page_shows_nothing_else() -> None:
    """No Dockerfile that no test builds."""
    assert len(SHOWN) == len(RECIPES) > 7
