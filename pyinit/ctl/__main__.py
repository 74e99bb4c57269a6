"""The command line of pyinitctl: ``python -m pyinit.ctl``, or the launcher that ``install`` writes."""

import argparse
import os
import signal
import sys

import pyinit
from pyinit.ctl import failure, install, zombies
from pyinit.log import printable


def main() -> None:
    """Run the command that the arguments name and exit with its status; 2 if they are wrong."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the reader of a long list may have seen enough
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parser = argparse.ArgumentParser(prog="pyinitctl", description="Look into a running container.", allow_abbrev=False)
    parser.add_argument("-V", "--version", action="version", version=f"pyinitctl version {pyinit.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (zombies, install):
        command.add_to(commands)
    arguments = parser.parse_args()
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
    except failure.CannotLook as error:
        print(f"pyinitctl: {printable(str(error))}", file=sys.stderr)
        status = failure.STATUS
    except OSError as error:  # a full disk behind standard output, no descriptor left
        print(f"pyinitctl: {printable(str(error))}", file=sys.stderr)
        status = failure.STATUS
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what could not be written is not tried again at the end
    sys.exit(status)


if __name__ == "__main__":
    main()
