"""The command line of pyinitctl: ``python -m pyinit.ctl``, or the launcher that ``install`` writes."""

import argparse
import contextlib
import importlib
import io
import os
import signal
import sys

import pyinit
from pyinit.ctl import failure
from pyinit.ctl.failure import CannotLook
from pyinit.reporting.log import printable

COMMANDS = ("status", "zombies", "clear", "tree", "health", "install")
"""Each a module, loaded if it is asked for."""


def main() -> None:
    """Run the command that the arguments name and exit with its status; 2 if they are wrong."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the reader of a long list may have seen enough
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parser = argparse.ArgumentParser(prog="pyinitctl", description="Look into a running container.", allow_abbrev=False)
    parser.add_argument("-V", "--version", action="version", version=f"pyinitctl version {pyinit.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in [name for name in COMMANDS if name in sys.argv[1:2]] or COMMANDS:
        importlib.import_module(f"pyinit.ctl.{name}").add_to(commands)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - it was closed
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name may hold what the terminal has no character for
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    sys.exit(_run(parser))


def _run(parser: argparse.ArgumentParser) -> int:
    try:
        try:
            chosen = parser.parse_args()
            found = int(chosen.run(chosen))
        finally:
            sys.stdout.flush()
    except (CannotLook, OSError) as error:
        text = f"cannot go on: {error.strerror}" if isinstance(error, OSError) else str(error)
        with contextlib.suppress(OSError):
            print(f"pyinitctl: {printable(text)}", file=sys.stderr)
        os._exit(failure.STATUS)  # and not the usual way, on which what could not be written would be tried again
    return found


if __name__ == "__main__":
    main()
