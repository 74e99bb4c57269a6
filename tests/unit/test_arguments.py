"""The values of pyinitctl's options."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from pyinit.ctl import arguments
from pyinit.ctl.__main__ import COMMANDS
from testing import ROOT

NO_NUMBERS = ["", " ", "x", "-1", "+1", "1_0", "1e3", "inf", "\u0663", "9" * 30]


@pytest.mark.parametrize("text", [*NO_NUMBERS, "0", "1.5"])
def test_a_malformed_pid_is_named(text: str) -> None:
    """0 is not a pid."""
    refuses(arguments._pid, text, f"'{text}' is not a pid")


@pytest.mark.parametrize("text", [*NO_NUMBERS, "1.5"])
def test_a_malformed_whole_number_is_named(text: str) -> None:
    """0 is a whole number."""
    refuses(arguments.number, text, f"'{text}' is not a whole number")
    assert arguments.number("0") == 0


@pytest.mark.parametrize("text", [*NO_NUMBERS, ".", "1.2.3"])
def test_a_malformed_number_of_seconds_is_named(text: str) -> None:
    """Fractions are allowed."""
    refuses(arguments.seconds, text, f"'{text}' is not a number of seconds")
    assert [arguments.seconds(fine) for fine in ("0", "1.5", ".5", "3600")] == [0.0, 1.5, 0.5, 3600.0]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("zombie", "did you mean zombies?"),
        ("statsu", "did you mean status?"),
        ("heath", "did you mean health?"),
        ("frobnicate", f"there are {', '.join(COMMANDS)}"),
        ("", f"there are {', '.join(COMMANDS)}"),
    ],
)
def test_an_unknown_command_is_an_error_with_the_nearest_name(word: str, hint: str) -> None:
    """If no name is near, the error lists all commands. The status is 2, as for any usage error."""
    done = subprocess.run(
        [sys.executable, "-m", "pyinit.ctl", word, "--json"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"pyinitctl: error: unknown command '{word}'; {hint}"


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_the_help_fits_a_narrow_terminal(command: list[str]) -> None:
    """80 columns."""
    done = subprocess.run(
        [sys.executable, "-m", "pyinit.ctl", *command, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert max(map(len, done.stdout.splitlines())) <= 80


def refuses(convert: Callable[[str], object], text: str, message: str) -> None:
    """Check that the conversion fails with the message that argparse prints."""
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        convert(text)
    assert str(refused.value) == message
