"""The command lines as parsers of argparse, which the tools for manual pages and completions read."""

import argparse
from typing import Any

import shtab

from pyinit.ctl.__main__ import COMMANDS, parser
from pyinit.kernel import signals
from pyinit.options import help as about
from pyinit.options.settings import OWN
from pyinit.options.table import HEADINGS, TABLE, Option

PROGRAMS = {"bash": "_pyinit_programs", "zsh": "_command_names -e", "fish": "(__fish_complete_command)"}
USERS = {"bash": "_pyinit_users", "zsh": "_users", "fish": "(__fish_complete_users)"}
HELPERS = '_pyinit_programs() { compgen -c -- "$1"; }\n_pyinit_users() { compgen -u -- "$1"; }'
"""The bash functions that `PROGRAMS` and `USERS` name."""

VALUES = {"PATH": shtab.FILE, "USER[:GROUP]": USERS}
"""How the value of an option is completed, by its name in the help."""

SIGNALS = [signals.name_of(number) for number in sorted(signals.CAUGHT)]


def pyinit(notes: bool = True) -> argparse.ArgumentParser:
    """The parser of pyinit, from its table. With `notes`, its help has defaults and environment variables."""
    made = argparse.ArgumentParser(prog="pyinit", add_help=False, description=about.DESCRIPTION)
    container: argparse._ActionsContainer = made
    for option in TABLE:
        if option.long in HEADINGS:
            container = made.add_argument_group(HEADINGS[option.long])
        words = [option.text, *(about.notes(option, OWN) if notes else ())]
        names = [f"-{option.short}"] if option.short else []
        action = container.add_argument(
            *names,
            f"--{option.long}",
            help=" ".join(words).replace("%", "%%"),
            **_kind(option),
        )
        if option.metavar == "SIGNAL":
            action.choices = SIGNALS
        elif "|" in option.metavar:
            action.choices = option.metavar.split("|")
        elif option.metavar in VALUES:
            _complete(action, VALUES[option.metavar])
    _complete(made.add_argument("program", metavar="PROGRAM", help="the workload"), PROGRAMS)
    _complete(made.add_argument("arguments", metavar="ARG", nargs="*", help="its arguments"), shtab.FILE)
    return made


def pyinitctl() -> argparse.ArgumentParser:
    """The parser of pyinitctl, with all commands."""
    made = parser(COMMANDS)
    for action in of(made)["install"]._actions:
        if action.metavar == "PATH":
            _complete(action, shtab.FILE)
    return made


def _kind(option: Option) -> dict[str, Any]:
    """Whether an option takes a value, and whether it may be repeated."""
    if option.metavar:
        return {"metavar": option.metavar, "action": "append" if option.add else "store"}
    return {"action": "count" if option.add else "store_true"}


def of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser by their names."""
    each = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(each[0]) if each else {}


def _complete(action: argparse.Action, how: object) -> None:
    action.complete = how  # type: ignore[attr-defined]
