"""What the command lines of the commands have in common."""

import argparse
import textwrap
from collections.abc import Callable

from pyinit.kernel.numbers import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction
Run = Callable[[argparse.Namespace], int]
"""Runs a command with its arguments; returns the exit status."""

_MOST = 999_999_999


def add_command(
    commands: Commands, name: str, run: Run, summary: str, description: str, example: str, status: str
) -> argparse.ArgumentParser:
    """Add a command; its help shows the example and what the exit status means."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=textwrap.fill(description, 80),
        epilog=f"example:\n  {example}\n\nexit status:\n  {status}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def add_pid(parser: argparse._ActionsContainer, text: str = "look only at this process and its descendants") -> None:
    """Add ``-p PID``."""
    parser.add_argument("-p", "--pid", type=_pid, metavar="PID", help=text)


def add_json(parser: argparse._ActionsContainer) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def _pid(text: str) -> int:
    if pid := whole(text, _MOST):
        return pid
    raise argparse.ArgumentTypeError(f"'{text}' is not a pid")


def number(text: str) -> int:
    """A whole number, 0 or more."""
    value = whole(text, _MOST)
    if value is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number")
    return value


def seconds(text: str) -> float:
    """A number of seconds, 0 or more, perhaps with a fraction."""
    if whole(text.replace(".", "", 1), 10**15) is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds")
    return float(text)
