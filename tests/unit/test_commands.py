"""Each command on a page of the documentation is run by a test: the table of testing.commands says by which."""

import re
import subprocess
import sys

import pytest

from testing import ROOT
from testing.commands import HOW, PAGES, SYNOPSIS, commands, how

SHOWN = [(page, command) for page in PAGES for command in commands(page)]


def test_each_command_is_in_the_table() -> None:
    """A page that gets another one needs another row."""
    assert [(page.name, command) for page, command in SHOWN if how(command) is None] == []


def test_each_row_of_the_table_is_on_a_page() -> None:
    """Else it is of no use any more."""
    assert [start for start in HOW if not any(command.startswith(start) for _, command in SHOWN)] == []


def test_each_test_in_the_table_exists() -> None:
    """As a module."""
    named = {how for how in HOW.values() if how.endswith(".py")}
    assert [name for name in sorted(named) if not (ROOT / "tests" / name).is_file()] == []


@pytest.mark.parametrize("command", [command for _, command in SHOWN if how(command) == SYNOPSIS])
def test_a_synopsis_has_the_options_of_the_command(command: str) -> None:
    """All of them but --help."""
    words = command.replace("python3 -m pyinit.ctl", "pyinitctl").split()
    done = subprocess.run(
        [sys.executable, "-m", "pyinit.ctl", words[1], "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(re.findall(r"--[a-z-]+", command)) == set(re.findall(r"--[a-z-]+", done.stdout.split("\n\n")[0])) - {
        "--help"
    }
