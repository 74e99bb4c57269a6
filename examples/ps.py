"""Lists processes in images without `ps`: pid, parent, state and command, read from /proc.

What to see: `Z` is a zombie, a process that has exited and that its parent has not waited for.

    docker compose exec web python3 ps.py
"""

import os
from collections.abc import Iterator
from typing import NamedTuple


class Process(NamedTuple):
    """A line of the list. The state is a letter as in proc(5)."""

    pid: int
    parent: int
    state: str
    command: str

    def __str__(self) -> str:
        return f"{self.pid:>5} {self.parent:>5} {self.state} {self.command}"


HEADING = f"{'PID':>5} {'PPID':>5} S COMMAND"


def processes() -> Iterator[Process]:
    """Every process in /proc, ordered by pid."""
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        try:
            with open(f"/proc/{pid}/stat", errors="replace") as file:
                # The name may contain any character, even parentheses and spaces. It ends at the last parenthesis.
                name, _, rest = file.read().partition("(")[2].rpartition(")")
            with open(f"/proc/{pid}/cmdline", errors="replace") as file:
                words = file.read().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has exited meanwhile
        state, parent = rest.split()[:2]
        command = " ".join(words).strip() or f"[{name}]" + (" <defunct>" if state == "Z" else "")
        yield Process(pid, int(parent), state, "".join(sign if sign.isprintable() else "?" for sign in command))


def listing() -> str:
    """The whole list as text."""
    return "\n".join([HEADING, *map(str, processes())])


if __name__ == "__main__":
    print(listing())
