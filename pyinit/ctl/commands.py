"""The command line of a process as text that cannot pass for anything else."""

from pyinit.kernel import procfs
from pyinit.reporting.log import printable

ISOLATED = "-ISBXutf8"
"""The options of the interpreter in the ``#!`` line of our launchers, which has room for one word: isolated, without
site, no bytecode written, UTF-8 mode (arguments come back as the bytes that they were)."""

_LONGEST = 60

_READ = 8192
"""Bytes of a command line that are read: all of it can be many megabytes."""


def command_of(process: procfs.Process, longest: int = _LONGEST) -> str:
    """The command line without the folder of the program; the name if there is none (a zombie has lost it).

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
    if len(words) > 2 and words[1] == ISOLATED:  # the interpreter, its options, one of our launchers
        words = words[2:]
        if words[0].startswith("-Xname="):  # `__main__` has executed the interpreter again
            name = words[0].partition("=")[2]
            while words and words[0].startswith("-X"):
                del words[0]
            words[:1] = [name]
    if not words:
        return name_of(process)
    program = words[0].rpartition("/")[2] or words[0]
    return _shortened(printable(" ".join([program, *words[1:]])[: longest + 1]), longest)


def name_of(process: procfs.Process) -> str:
    """The name (``comm``): all that the kernel keeps of a zombie."""
    return printable(process.name)


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
