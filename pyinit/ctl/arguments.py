"""The command lines of the commands: what they have in common."""

import argparse
import textwrap
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction
Run = Callable[[argparse.Namespace], int]
"""What does it; the exit status."""


def add_command(
    commands: Commands, name: str, run: Run, summary: str, description: str, example: str, status: str
) -> argparse.ArgumentParser:
    """A command of its own, with a help that has an example and says what the exit status means."""
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


def add_pid(parser: argparse._ActionsContainer, text: str = "look at this process and those below it only") -> None:
    """``-p PID``."""
    parser.add_argument("-p", "--pid", type=_pid, metavar="PID", help=text)


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def _pid(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is no pid")
    return int(text)


def number(text: str) -> int:
    """A number of processes, 0 or more."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"'{text}' is no number")
    return int(text)


def seconds(text: str) -> float:
    """A number of seconds, 0 or more, perhaps with a fraction."""
    digits = text.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit() and len(digits) < 16):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds")
    return float(text)
