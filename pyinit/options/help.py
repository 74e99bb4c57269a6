"""The output of ``--help``, ``--version`` and ``--license``."""

import posix

from ..version import __version__
from .settings import Settings
from .table import HEADINGS, SET_AT_ALL, rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .settings import Persona
    from .table import Option

DESCRIPTION = """\
Run PROGRAM as the workload of a container: forward every signal to it, reap
every orphan, and exit with its status."""

_WIDTH = 80
"""Columns of a line of the help."""

LICENSE = """\
MIT License

Copyright (c) 2026 The pyinit contributors

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def show(settings: "Settings") -> None:
    """Write the help, the version or the license to standard output, as `settings.show` says.

    Raises:
        OSError: it cannot be written.
    """
    persona = settings.persona
    version = persona.version or f"pyinit version {__version__}"
    text = {"help": text_of(persona), "version": f"{version}\n"}.get(settings.show or "", LICENSE).encode()
    try:
        while text:
            text = text[posix.write(1, text) :]
    except OSError as error:
        raise OSError(error.errno, f"cannot write to standard output: {error.strerror}") from None


def usage(persona: "Persona") -> "tuple[str, str]":
    """How a command line is written, in two lines."""
    return f"Usage: {persona.name} [OPTION]... [--] PROGRAM [ARG]...", f"       {persona.name} [OPTION]... --pause"


def default_of(option: "Option", persona: "Persona") -> str:
    """The value that an option has if it is not given, as it would be written; empty if it has none."""
    value = persona.defaults.get(option.field, getattr(Settings(), option.field)) if option.field else None
    if isinstance(value, float):
        return f"{value:g}"
    if value is False:
        return option.metavar.partition("|")[0]
    return value if option.metavar and isinstance(value, str) else ""


def notes(option: "Option", persona: "Persona") -> "list[str]":
    """What the help says about the default and the environment variables of an option."""
    default = default_of(option, persona)
    variables = ", ".join([name for name, _ in option.twins() if name.startswith(persona.variables)])
    return [f"[{title}: {text}]" for title, text in (("default", default), ("environment", variables)) if text]


def text_of(persona: "Persona") -> str:
    """The text of ``--help``, made from the table."""
    lines = [
        *usage(persona),
        "",
        DESCRIPTION,
    ]
    for option in rows(persona):
        if option.long in HEADINGS:
            lines += ["", f"{HEADINGS[option.long]}:"]
        value = f"={option.metavar}" if option.metavar else ""
        lines.append(f"  -{option.short}, --{option.long}{value}" if option.short else f"      --{option.long}{value}")
        lines += _wrapped([*option.text.split(), *notes(option, persona)], 10)
    lines += [
        "",
        "Environment:",
        "  A flag overrides its environment variable. A variable that is empty counts as",
        f"  not set, except for {' and '.join(SET_AT_ALL)}, which count",
        "  whenever they are set.",
        "",
        "Names:",
        "  Invoked as tini, docker-init, dumb-init or catatonit (a link will do), pyinit",
        "  takes that program's options, defaults, variables and exit statuses.",
        "",
        "Exit status:",
        "  that of PROGRAM",
        "  128+N  if signal N ended it",
        f"  {persona.failed:<5}  if {persona.name} itself could not go on",
        f"  {persona.not_executable:<5}  if PROGRAM was found and could not be executed",
        f"  {persona.not_found:<5}  if PROGRAM was not found",
        "",
    ]
    return "\n".join(lines)


def _wrapped(words: "list[str]", indent: int) -> "list[str]":
    """The lines of a paragraph. (The module textwrap would load twenty others.)"""
    lines = [" " * indent]
    for word in words:
        if len(lines[-1]) + len(word) > _WIDTH:
            lines.append(" " * indent)
        lines[-1] += f"{word} "
    return [line.rstrip() for line in lines]
