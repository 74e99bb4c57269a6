"""Properties of processes that /proc has and psutil lacks."""

import os
import re
from contextlib import suppress
from pathlib import Path

import psutil


def descriptors(pid: int, least: int = 3) -> dict[int, str]:
    """The descriptors of a process from `least` on, and the files that they are open on."""
    found = {}
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed just now
            found[int(path.name)] = os.readlink(path)
    return {number: target for number, target in found.items() if number >= least}


def own_descriptors(pid: int) -> list[str]:
    """PID 1's descriptors besides the standard ones, by kind; those that it should not have, by their targets.

    Its own are its code, the counters, and the log (standard error, opened anew).
    """
    own = {
        "/memfd:pyinit-modules (deleted)": "code",
        "/memfd:pyinit-status (deleted)": "counters",
        os.readlink(f"/proc/{pid}/fd/2"): "log",
    }
    kinds = []
    for number, target in sorted(descriptors(pid).items()):
        try:
            fields = Path(f"/proc/{pid}/fdinfo/{number}").read_text().split()
        except FileNotFoundError:  # closed just now
            continue
        is_own = int(fields[fields.index("flags:") + 1], 8) & os.O_CLOEXEC
        kind = "code" if re.search(r"/compiled\.[\w.-]+\.zip( \(deleted\))?$", target) else own.get(target, target)
        kinds.append(kind if is_own else f"inheritable {target}")
    return sorted(kinds)


OWN_DESCRIPTORS = ["code", "counters", "log"]
"""What `own_descriptors` returns for an installed pyinit whose standard error is a pipe."""


def memory(pid: int, kind: str = "Private_Dirty") -> int:
    """Memory of a process in kB; `kind` is a field of ``/proc/PID/smaps_rollup``."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))


def zombies(parent: int, *, recursive: bool = False) -> list[int]:
    """The zombies among the children of a process, or among all its descendants."""
    found = []
    for process in psutil.Process(parent).children(recursive=recursive):
        with suppress(psutil.NoSuchProcess):
            if process.status() == psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
