"""The output of ``--help``, ``--version`` and ``--license``."""

import posix

from ..version import __version__
from .table import rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .settings import Persona, Settings

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
    text = {"help": _help(persona), "version": f"{version}\n"}.get(settings.show or "", LICENSE).encode()
    try:
        while text:
            text = text[posix.write(1, text) :]
    except OSError as error:
        raise OSError(error.errno, f"cannot write to standard output: {error.strerror}") from None


def usage(persona: "Persona") -> "tuple[str, str]":
    """How a command line is written, in two lines."""
    return f"Usage: {persona.name} [OPTION]... [--] PROGRAM [ARG]...", f"       {persona.name} [OPTION]... --pause"


def _help(persona: "Persona") -> str:
    """The text of ``--help``, made from the table."""
    lines = [
        *usage(persona),
        "",
        "Run PROGRAM as the workload of a container: forward every signal to it, reap every orphan,",
        "and exit with its status.",
        "",
    ]
    for option in rows(persona):
        value = f"={option.metavar}" if option.metavar else ""
        names = f"-{option.short}, --{option.long}{value}" if option.short else f"    --{option.long}{value}"
        lines += [f"  {names}", f"          {option.text}"]
        if variables := [name for name, _ in option.twins() if name.startswith(persona.variables)]:
            lines.append(f"          environment: {', '.join(variables)}")
    lines += [
        "",
        "A flag overrides its environment variable. A variable that is empty counts as not set, except for",
        "TINI_KILL_PROCESS_GROUP and TINI_SUBREAPER, which count whenever they are set.",
        "",
        f"Exit status: that of PROGRAM; 128+N if signal N ended it; {persona.failed} if {persona.name} itself failed;",
        f"{persona.not_executable} if PROGRAM cannot be executed; {persona.not_found} if it is not found.",
        "",
    ]
    return "\n".join(lines)
