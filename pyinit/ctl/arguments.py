"""What several commands take, and what is an error in it."""

import argparse


def add_pid(parser: argparse.ArgumentParser, text: str = "look at this process and those below it only") -> None:
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
