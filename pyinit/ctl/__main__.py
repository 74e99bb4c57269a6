"""The command line of pyinitctl: ``python -m pyinit.ctl``, or the launcher that ``install`` writes."""

import argparse
import sys

import pyinit
from pyinit.ctl import install


def main() -> None:
    """Run the command that the arguments name and exit with its status; 2 if they are wrong."""
    parser = argparse.ArgumentParser(prog="pyinitctl", description="Look into a running container.", allow_abbrev=False)
    parser.add_argument("-V", "--version", action="version", version=f"pyinitctl version {pyinit.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (install,):
        command.add_to(commands)
    arguments = parser.parse_args()
    sys.exit(arguments.run(arguments))


if __name__ == "__main__":
    main()
