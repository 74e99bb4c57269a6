"""What `python -m pages` writes is what the repository holds: docs/options.md, and all of share/."""

import signal
from pathlib import Path

import pytest

from pages.__main__ import texts
from pyinit.options.table import TABLE
from testing import ROOT

WRITTEN = texts()


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: str(file.relative_to(ROOT)))
def test_each_file_is_up_to_date(file: Path) -> None:
    """Else: `make pages`. Completions name the real-time signals as glibc counts them."""
    if ("completion" in str(file) or file.name == "_pyinit") and int(signal.SIGRTMIN) != 34:
        pytest.skip("musl has one real-time signal less")
    assert file.read_text() == WRITTEN[file]


def test_nothing_else_is_in_share() -> None:
    """What is no longer written would be installed all the same."""
    share = ROOT / "share"
    assert {file for file in share.rglob("*") if file.is_file()} == {file for file in WRITTEN if share in file.parents}


def test_the_page_has_a_row_for_every_option_with_its_variables() -> None:
    """And with its value."""
    rows = [row for row in (ROOT / "docs" / "options.md").read_text().splitlines() if row.startswith("| `-")]
    assert len(rows) == len(TABLE)
    for row, option in zip(rows, TABLE, strict=True):
        value = f"={option.metavar}" if option.metavar else ""
        assert f"`--{option.long}{value}`" in row.replace("\\|", "|")
        assert all(f"`{variable}" in row for variable, _ in option.twins())
