"""What a process is called: its command line, so written that it cannot pass for anything else."""

from pyinit import procfs
from pyinit.log import printable

_LONGEST = 60


def command_of(process: procfs.Process, longest: int = _LONGEST) -> str:
    """The command line without the folder of the program; the name where there is none (a zombie has none left).

    Reading it takes the memory lock of the process, and may have to wait for that.
    """
    words = (procfs.read(f"/proc/{process.pid}/cmdline") or b"").decode("utf-8", "surrogateescape").split("\0")
    while words and not words[-1]:
        words.pop()
    if not words:
        return name_of(process)
    program = words[0].rpartition("/")[2] or words[0]
    return _shortened(printable(" ".join([program, *words[1:]])), longest)


def name_of(process: procfs.Process) -> str:
    """The name (``comm``), which is all that the kernel keeps of a zombie."""
    return printable(process.name)


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
