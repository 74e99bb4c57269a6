"""What a file that cannot be executed is: text, a script with an interpreter, an ELF program (elf(5), execve(2))."""

import _stat as stat
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

_TEXT = bytes([*range(7, 14), 27, *range(32, 127), *range(128, 256)])
"""What text may consist of, in any encoding that has ASCII in it."""

_LINE = 256
"""Bytes in which the kernel looks for the interpreter of a script (``BINPRM_BUF_SIZE``)."""

_LOAD, _INTERPRETER = 1, 3
"""Types of program headers."""

_FAR = 1 << 62
"""An offset that no file has, and that pread(2) might not take."""

MARK = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8."""

# fmt: off
_MACHINES = {
    2: "sparc", 3: "i386", 4: "m68k", 6: "i486", 8: "mips", 10: "mips", 15: "parisc", 18: "sparc", 20: "ppc",
    21: "ppc64", 22: "s390x", 40: "arm", 42: "sh", 43: "sparc64", 50: "ia64", 62: "x86_64", 92: "openrisc",
    93: "arc", 94: "xtensa", 113: "nios2", 164: "hexagon", 183: "aarch64", 189: "microblaze", 195: "arc",
    243: "riscv", 252: "csky", 258: "loongarch", 0x9026: "alpha", 0xA390: "s390x", 0xBAAB: "microblaze",
}
# fmt: on
"""The machines that Linux runs on, by their numbers in ELF files (linux/elf-em.h)."""


class Elf:
    """The header of an ELF file."""

    __slots__ = ("bits", "least_size", "loader", "machine", "order", "type")

    def __init__(self, file: int) -> None:
        """Read the header from an open file, and what the kernel reads of the program headers.

        Raises:
            OSError: it cannot be read.
        """
        head = posix.pread(file, 64, 0).ljust(64, b"\0")
        self.order: "Literal['big', 'little']" = "big" if head[5] == 2 else "little"
        """The byte order."""
        self.bits = 64 if head[4] == 2 else 32
        self.type = self._number(head, 16, 2)
        """``ET_REL`` (1), ``ET_EXEC`` (2), ``ET_DYN`` (3) or ``ET_CORE`` (4)."""
        machine = self._number(head, 18, 2)
        self.machine = _MACHINES.get(machine, f"machine {machine}")
        """Its name, as uname(1) has it."""
        self.loader = b""
        """The dynamic loader that it asks for; empty if it is static."""
        word = self.bits // 8
        table = self._number(head, 24 + word, word)
        each, count = self._number(head, 30 + 3 * word, 2), self._number(head, 32 + 3 * word, 2)
        self.least_size = max(64 if self.bits == 64 else 52, table + each * count)
        """Bytes that the file has at least, by its header."""
        entries = posix.pread(file, min(each * count, 65536), table) if table < _FAR else b""
        for start in range(0, len(entries) - each + 1, each) if each else ():
            entry = entries[start : start + each].ljust(56, b"\0")
            place, size = self._number(entry, word, word), self._number(entry, 4 * word, word)
            kind = self._number(entry, 0, 4)
            if kind in (_LOAD, _INTERPRETER):
                self.least_size = max(self.least_size, place + size)
            if kind == _INTERPRETER and place < _FAR:
                self.loader = posix.pread(file, min(size, 4096), place).partition(b"\0")[0]

    def _number(self, record: bytes, place: int, length: int) -> int:
        return int.from_bytes(record[place : place + length], self.order)


def open_regular(path: bytes) -> int:
    """Open a regular file for reading. Nothing else: a FIFO would wait, a device might do something.

    Raises:
        OSError: it is something else, or cannot be opened.
    """
    if not stat.S_ISREG(posix.stat(path).st_mode):
        raise OSError  # not reached: a device or a FIFO that may be executed
    return posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)


def head_of(path: bytes) -> "bytes | None":
    """The first kilobyte of a regular file; None if it cannot be read."""
    try:
        file = open_regular(path)
    except OSError:
        return None
    try:
        return posix.pread(file, 1024, 0)
    except OSError:  # not reached: takes a file system that fails
        return None
    finally:
        posix.close(file)


def is_for_shell(path: bytes) -> bool:
    """Whether a file that the kernel does not execute is a script for /bin/sh: text without a ``#!`` line."""
    head = head_of(path) or b""
    return is_text(head) and not interpreter(head) and not head.startswith(MARK + b"#!")


def is_text(head: bytes) -> bool:
    """Whether the beginning of a file is that of a text; an empty one is not."""
    return bool(head) and not head.translate(None, _TEXT)


def interpreter(head: bytes) -> bytes:
    """The interpreter in the ``#!`` line at the beginning of a script, as the kernel reads it; empty without one."""
    if head[:2] != b"#!":
        return b""
    return head[2:_LINE].partition(b"\n")[0].replace(b"\t", b" ").strip(b" ").partition(b" ")[0]


def is_interpreter_cut(head: bytes) -> bool:
    """Whether that line is so long that the kernel does not see where the name of the interpreter ends."""
    line = head[2:_LINE].replace(b"\t", b" ").lstrip(b" ")
    return len(head) >= _LINE and b"\n" not in line and b" " not in line
