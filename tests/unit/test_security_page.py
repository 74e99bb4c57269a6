"""docs/security.md: each claim names its tests, and these tests exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text()
NAMED = set(re.findall(r"`((?:unit|namespace|container)/(?:\w+/)*test_\w+)::(test_\w+)`", PAGE))


def names_in(module: str) -> set[str]:
    """The names of the tests in a module."""
    tree = ast.parse((ROOT / "tests" / f"{module}.py").read_text())
    return {one.name for one in tree.body if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")}


def test_every_named_test_exists() -> None:
    """If a test was removed or renamed, its claim has no test."""
    assert NAMED
    assert [(module, name) for module, name in sorted(NAMED) if name not in names_in(module)] == []


def test_every_security_test_belongs_to_a_claim() -> None:
    """The page names every test in the test_security modules."""
    for module in ("namespace/test_security", "container/test_security"):
        assert {(module, name) for name in names_in(module)} <= NAMED


def test_every_row_of_claims_names_a_test() -> None:
    """In all tables that have a column for it."""
    for table in re.findall(r"^\| \| test \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE):
        for row in table.splitlines():
            assert "::test_" in row.split(" | ")[-1], row
