"""What a process is called: its command line, so written that it cannot pass for anything else."""

from pyinit.kernel import procfs
from pyinit.reporting.log import printable

ISOLATED = "-ISBXutf8"
"""The options of the interpreter in the ``#!`` line of our launchers. One word, since it has room for one argument:
isolated, no site, no bytecode written, UTF-8 mode (arguments come back as the bytes that they were)."""

_LONGEST = 60

_READ = 8192
"""Bytes of a command line that are read: the whole can be of many megabytes."""


def command_of(process: procfs.Process, longest: int = _LONGEST) -> str:
    """The command line without the folder of the program; the name where there is none (a zombie has none left).

    Reading it takes the memory lock of the process, and may have to wait for that.
    """
    try:
        with open(f"/proc/{process.pid}/cmdline", "rb", buffering=0) as file:
            line = file.read(_READ)
    except OSError:
        line = b""
    words = line.decode("utf-8", "surrogateescape").split("\0")
    while words and not words[-1]:
        words.pop()
    if len(words) > 2 and words[1] == ISOLATED:  # one of our launchers, behind its interpreter
        words = words[2:]
        if words[0].startswith("-Xname="):  # started over (`__main__`)
            name = words[0].partition("=")[2]
            while words and words[0].startswith("-X"):
                del words[0]
            words[:1] = [name]
    if not words:
        return name_of(process)
    program = words[0].rpartition("/")[2] or words[0]
    return _shortened(printable(" ".join([program, *words[1:]])[: longest + 1]), longest)


def name_of(process: procfs.Process) -> str:
    """The name (``comm``), which is all that the kernel keeps of a zombie."""
    return printable(process.name)


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
