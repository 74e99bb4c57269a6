"""The manual pages pyinit(1) and pyinitctl(1)."""

import argparse
import functools

from argparse_manpage.manpage import Manpage

from pages import commands
from pyinit.options import help as about
from pyinit.options.settings import OWN
from pyinit.options.table import HEADINGS
from pyinit.version import __version__

SUMMARIES = {
    "pyinit": "run a program as the workload of a container, as its PID 1",
    "pyinitctl": "look into a running container",
}

ON_ONE_LINE = functools.partial(argparse.HelpFormatter, width=100_000)
"""man(1) breaks the lines."""


def pages() -> dict[str, str]:
    """The pages by their paths in `share`."""
    return {
        f"man/man1/{parser.prog}.1": _page(parser, sections)
        for parser, sections in (
            (commands.pyinit(), {**_of_pyinit(), "see also": ".BR pyinitctl (1)"}),
            (commands.pyinitctl(), {**_of_pyinitctl(), "see also": ".BR pyinit (1)"}),
        )
    }


def _page(parser: argparse.ArgumentParser, sections: dict[str, str]) -> str:
    for one in (parser, *commands.of(parser).values()):
        one.formatter_class = ON_ONE_LINE
        one.description = " ".join((one.description or "").split())
    page = Manpage(parser, {"project_name": "pyinit", "version": __version__, "date": "-"}, "single-commands-section")
    page.date, page.manual, page.description = "", "User Commands", SUMMARIES[parser.prog]
    for heading, text in sections.items():
        page.add_section(heading, "=", text)
    return str(page).replace("\n", "\n.nh\n.ad l\n", 1)  # no hyphens in the names of options and variables


def _of_pyinit() -> dict[str, str]:
    """The usage, and the sections of the help below the options."""
    paragraphs = [paragraph.partition(":\n") for paragraph in about.text_of(OWN).strip().split("\n\n")]
    below = {heading: text for heading, _, text in paragraphs if text and heading not in HEADINGS.values()}
    first, second = about.usage(OWN)
    return {
        "synopsis": _as_it_stands(first.removeprefix("Usage: "), second.strip()),
        **{heading: _as_it_stands(*map(str.strip, text.splitlines())) for heading, text in below.items()},
    }


def _of_pyinitctl() -> dict[str, str]:
    """The examples and exit statuses at the end of each command's help."""
    examples, statuses = [], []
    for name, parser in commands.of(commands.pyinitctl()).items():
        example, _, status = (parser.epilog or "").partition("\n\nexit status:\n")
        examples += [line.strip() for line in example.splitlines()[1:]]
        statuses += [".TP", f".B {name}", status.strip()]
    return {
        "exit status": "\n".join([*statuses, ".PP", "2 if the arguments are wrong"]),
        "examples": _as_it_stands(*examples),
    }


def _as_it_stands(*lines: str) -> str:
    """Lines that man(1) does not fill."""
    escaped = [line.replace("\\", "\\e").replace("-", "\\-") for line in lines]
    return "\n".join([".nf", *escaped, ".fi"])
