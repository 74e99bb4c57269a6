"""What pyinit tells about itself: help, version, license."""

import posix

from ..version import __version__
from .table import rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .settings import Manner, Options

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


def show(chosen: "Options") -> None:
    """Write the ``help``, the ``version`` or the ``license`` to standard output, whichever was chosen.

    Raises:
        OSError: it cannot be written.
    """
    manner = chosen.manner
    version = manner.version or f"pyinit version {__version__}"
    text = {"help": _help(manner), "version": f"{version}\n"}.get(chosen.show or "", LICENSE).encode()
    try:
        while text:
            text = text[posix.write(1, text) :]
    except OSError as error:
        raise OSError(error.errno, f"cannot write to standard output: {error.strerror}") from None


def _help(manner: "Manner") -> str:
    """What ``--help`` prints, made from the table."""
    lines = [
        f"Usage: {manner.name} [OPTION]... [--] PROGRAM [ARG]...",
        f"       {manner.name} [OPTION]... --pause",
        "",
        "Run PROGRAM as the workload of a container: forward every signal to it, reap every orphan,",
        "and exit with its status.",
        "",
    ]
    for option in rows(manner):
        value = f"={option.metavar}" if option.metavar else ""
        names = f"-{option.short}, --{option.long}{value}" if option.short else f"    --{option.long}{value}"
        lines += [f"  {names}", f"          {option.text}"]
        if variables := [name for name, _ in option.twins if name.startswith(manner.variables)]:
            lines.append(f"          environment: {', '.join(variables)}")
    lines += [
        "",
        "A flag beats its environment variable. One that is empty counts as not set, except for those of tini that",
        "count when set at all: TINI_KILL_PROCESS_GROUP and TINI_SUBREAPER.",
        "",
        f"Exit status: the workload's own; 128+N if signal N ended it; {manner.failed} if the init itself could not",
        f"go on; {manner.not_executable} if PROGRAM could not be executed; {manner.not_found} if it was not found.",
        "",
    ]
    return "\n".join(lines)
