"""Completions for bash, zsh and fish."""

import argparse
import re

import shtab

from pages import commands

PLACES = {
    "bash": "bash-completion/completions/{}",
    "zsh": "zsh/site-functions/_{}",
    "fish": "fish/vendor_completions.d/{}.fish",
}
"""Where each shell looks for completions, below a folder `share`."""


def scripts() -> dict[str, str]:
    """The scripts by their paths in `share`."""
    return {
        place.format(parser.prog): _script(parser, shell)
        for shell, place in PLACES.items()
        for parser in (commands.pyinit(notes=False), commands.pyinitctl())
    }


def _script(parser: argparse.ArgumentParser, shell: str) -> str:
    for action in parser._actions if shell == "zsh" else ():
        if isinstance(action.metavar, str):  # shtab quotes the rest
            action.metavar = re.sub(r"[][:]", r"\\\g<0>", action.metavar)
    text: str = shtab.complete(parser, shell, preamble=commands.HELPERS if shell == "bash" else "")
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"
