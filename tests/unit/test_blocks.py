"""Each file and fragment on a page of the documentation is run by a test: the table of testing.blocks says by which."""

from pathlib import Path

import pytest

from testing import ROOT
from testing.blocks import HOW, blocks
from testing.commands import PAGES

ROWS = [(page, words, how) for page, rows in HOW.items() for words, how in rows.items()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_block_is_in_the_table(page: Path) -> None:
    """And each row of the table is of use: a block has its words."""
    shown, rows = blocks(page), HOW.get(page.name, {})
    assert [text for text in shown if not any(words in text for words in rows)] == []
    assert [words for words in rows if not any(words in text for text in shown)] == []


@pytest.mark.parametrize(("page", "words", "how"), [row for row in ROWS if not row[2].startswith("no: ")])
def test_each_test_in_the_table_finds_the_block(page: str, words: str, how: str) -> None:
    """By the same words, on the page of that name."""
    source = (ROOT / "tests" / how).read_text()
    assert words in source and page in source
