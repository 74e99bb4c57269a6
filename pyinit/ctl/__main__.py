"""The command line of pyinitctl: ``python -m pyinit.ctl``, or the launcher that ``install`` writes."""

import argparse
import contextlib
import importlib
import io
import os
import signal
import sys
from collections.abc import Iterable

import pyinit
from pyinit.ctl import failure
from pyinit.ctl.failure import CannotLook
from pyinit.reporting.log import printable

COMMANDS = ("status", "zombies", "clear", "tree", "health", "host", "install")
"""Each is the name of a module, which is loaded when the command is used."""


def main() -> None:
    """Run the command that the arguments name and exit with its status; 2 if the arguments are wrong."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the reader of a long list may stop reading
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    commands = parser([name for name in COMMANDS if name in sys.argv[1:2]] or COMMANDS)
    for word in sys.argv[1:2]:
        if word[:1] != "-" and word not in COMMANDS:
            commands.error(_unknown(word))
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - it was closed
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # the encoding of the terminal may lack a character
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    sys.exit(_run(commands))


def parser(names: Iterable[str]) -> argparse.ArgumentParser:
    """The command line with these commands."""
    parser = argparse.ArgumentParser(prog="pyinitctl", description="Inspect a running container.", allow_abbrev=False)
    parser.add_argument("-V", "--version", action="version", version=f"pyinitctl version {pyinit.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in names:
        importlib.import_module(f"pyinit.ctl.{name}").add_to(commands)
    return parser


def _unknown(word: str) -> str:
    """Why a word is not a command."""
    import difflib

    nearest = difflib.get_close_matches(word, COMMANDS, 1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(COMMANDS)}"
    return f"unknown command '{printable(word)}'; {hint}"


def _run(parser: argparse.ArgumentParser) -> int:
    try:
        try:
            settings = parser.parse_args()
            status = int(settings.run(settings))
        finally:
            sys.stdout.flush()
    except (CannotLook, OSError) as error:
        text = f"cannot go on: {error.strerror}" if isinstance(error, OSError) else str(error)
        with contextlib.suppress(OSError):
            print(f"pyinitctl: {printable(text)}", file=sys.stderr)
        os._exit(failure.STATUS)  # a normal exit would try again to write what could not be written
    return status


if __name__ == "__main__":
    main()
