"""A termination log that cannot be written, for every reason that we know."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from soak.engine import contained
from soak.fault import Broken, Counts, Setting

NAME = "a termination log that cannot be written: a full disk and other reasons"

_AT_ONCE = 3
_SECONDS = 20
"""Limit for a container that usually exits within a second."""
_UNPUBLISHED = "pyinit: cannot publish the counters for pyinitctl: File too large"
_FULL = {"tmpfs": {"/disk": "size=64k"}}
_FILLS = "cat /dev/zero >/disk/filler 2>/dev/null"
_FILLS_INODES = "while touch /disk/$((i += 1)); do :; done 2>/dev/null"
_EXECUTES = "cp /bin/sleep /tmp/busy; /tmp/busy 9 & until grep -q busy /proc/$!/comm; do :; done"
_STALLS = "mkfifo /tmp/fifo; exec 3<>/tmp/fifo; dd if=/dev/zero of=/tmp/fifo oflag=nonblock 2>/dev/null; sleep 9 &"


@dataclass(frozen=True)
class _Case:
    path: str
    reason: str = ""
    """The reason in the log line; empty if the log can be written."""
    before: str = ":"
    """Shell commands that the workload runs first."""
    options: dict[str, Any] = field(default_factory=dict)


_CASES = (
    _Case("/disk/log", "No space left on device", f": >/disk/log; {_FILLS}", _FULL),
    _Case("/disk/none/log", "No such file or directory", _FILLS, _FULL),
    _Case("/disk", "Is a directory", _FILLS, _FULL),
    _Case("/disk/log", "No space left on device", _FILLS_INODES, {"tmpfs": {"/disk": "nr_inodes=8"}}),
    _Case("/disk/log", "Read-only file system", options={"tmpfs": {"/disk": "ro"}}),
    _Case("/log", "Read-only file system", options={"read_only": True}),
    _Case("/log", "Permission denied", options={"user": "1000:1000"}),
    _Case("/none/log", "No such file or directory"),
    _Case("/bin/sh/log", "Not a directory"),
    _Case("/tmp/loop", "Too many levels of symbolic links", "ln -s loop /tmp/loop"),
    _Case(f"/tmp/{'x' * 256}", "File name too long"),
    _Case("/tmp/busy", "Text file busy", _EXECUTES),
    _Case("/tmp/fifo", "No such device or address", "mkfifo /tmp/fifo"),
    _Case("/tmp/fifo", "Resource temporarily unavailable", _STALLS),
    _Case("/dev/full", "No space left on device"),
    _Case("/dev/null"),
    _Case("/tmp/log", "File too large", options={"ulimits": [{"Name": "fsize", "Soft": 0, "Hard": 0}]}),
)


def run(setting: Setting) -> Counts:
    """Let containers end whose termination log cannot be written.

    PID 1 exits with the workload's status and does not block, and one line says why there is no termination log.
    """
    cases = setting.chance.sample(_CASES, len(_CASES))
    statuses = [setting.chance.randint(0, 120) for _ in cases]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda case, status: _end(setting, case, status), cases, statuses))
    return Counts(faults=len(cases))


def _end(setting: Setting, case: _Case, status: int) -> None:
    # Drain timeout 0: nothing is terminated before the line is written, so the FIFO still has a reader, which stalls.
    words = ("--exit-report=always", "--drain-timeout=0", f"--termination-log={case.path}", "--", "sh", "-c")
    with contained(setting, *words, f"{case.before}\nexit {status}", **case.options) as container:
        end = container.end(_SECONDS)
    # The limit on the size of files applies to the counters, too, unless the workload ends before they are written.
    said = [line for line in end.errors.splitlines() if line != _UNPUBLISHED or "ulimits" not in case.options]
    report, *others = said or [""]
    lines = [f"pyinit: cannot write to the termination log '{case.path}': {case.reason}"] if case.reason else []
    if end.status != status or not report.startswith("pyinit: sh (pid ") or others != lines:
        raise Broken(f"{case}: exited with {end.status} instead of {status}; stderr: {end.errors!r}")
