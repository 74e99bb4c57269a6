"""Shows what happens to the processes of a container when it stops, under each init: `python -m bench.ends`, as root.

Writes the table and the diagrams of docs/what-happens.md between its markers. With names of inits it prints only these.
The container is a PID namespace that runs examples/what_happens. It is stopped as an engine would stop it: a signal to
PID 1, and SIGKILL ten seconds later. A pidfd reports when a process exits. The kernel's process accounting (acct(2))
records how it exited. The diary that the processes write shows what work they began and completed.
"""

import argparse
import os
import re
import selectors
import signal
import struct
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench import end_inits
from bench.end_inits import Init
from testing import EXAMPLES, ROOT, Unavailable
from testing.namespaces import ENVIRONMENT, IN_TIME, INTERPRETER, Container
from testing.waiting import Failed, eventually

PAGE = ROOT / "docs" / "what-happens.md"
START = EXAMPLES / "what_happens" / "start.sh"

GRACE = 10.0
"""Seconds until SIGKILL: the default of `docker stop`."""
HEAD_START = 1.0
"""Seconds between the start of the last piece of work and the stop."""
UNDER_WAY = Counter({"job": 2, "request": 1, "sessions": 1, "records": 1})
"""The work in progress at the stop."""

ROWS = ("start.sh", "master", "pool 1", "pool 2", "application", "tee", "daemon")
COLUMNS = {
    "job": "the pool's two jobs",
    "request": "the request",
    "sessions": "the sessions",
    "last line": "the log's last line",
    "records": "the daemon's records",
}
"""Each kind of work, and the heading of its column."""
LAST_LINE = "the end"
CELL = 0.25
"""Seconds for each character of a diagram."""

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

ACCOUNT = struct.Struct("=BBH6If8H16s")
"""``struct acct_v3`` of acct(5)."""
SWITCH_ON = "import ctypes, sys; sys.exit(ctypes.CDLL(None).acct(sys.argv[1].encode()))"
"""acct(2) applies to the PID namespace of the caller."""


@dataclass
class Process:
    """A process of the container; times are seconds after the stop."""

    name: str
    pid: int
    """Its pid in the container."""
    ended: float = 0
    killed_by: int = 0
    """The signal that ended it, or 0."""
    asked: list[float] = field(default_factory=list)
    """When it caught SIGTERM."""
    completed: list[str] = field(default_factory=list)
    """Work that it completed after the stop."""
    lost: list[str] = field(default_factory=list)
    """Work that it began and never completed."""

    def life(self) -> str:
        """Its line of the diagram: one character for each quarter of a second."""
        cells = ["="] * int(self.ended / CELL)
        for moment in self.asked:
            cells[int(moment / CELL) : int(moment / CELL) + 1] = "t"
        end = {0: ".", signal.SIGTERM: "T", signal.SIGKILL: "K"}.get(self.killed_by, "?")
        return "".join(cells[: int(self.ended / CELL)]) + end

    def outcome(self) -> str:
        """The work that it completed and lost, as text."""
        completed = [f"{work} x{number}" if number > 1 else work for work, number in Counter(self.completed).items()]
        parts = [("completes", completed), ("LOSES", self.lost)]
        return "; ".join(f"{verb} {', '.join(works)}" for verb, works in parts if works)


@dataclass
class Ending:
    """The measured end of a container."""

    init: str
    seconds: float
    processes: list[Process]

    @property
    def lost(self) -> Counter[str]:
        """The lost work, counted by kind."""
        return Counter(work for process in self.processes for work in process.lost)

    def row(self) -> str:
        """The row of the table."""
        cells = [f"**{'both ' * (self.lost[work] == 2)}lost**" if self.lost[work] else "saved" for work in COLUMNS]
        return f"| {' | '.join([self.init, *cells, f'{self.seconds:.1f}'])} |"

    def diagram(self) -> str:
        """One line for each process: its life, and the outcome of its work."""
        scale = "".join(f"{second:<{int(1 / CELL)}}" for second in range(int(self.seconds) + 2))
        width = max(len(scale), *(len(process.life()) + 2 for process in self.processes))
        lines = [f"{'seconds':<13}{scale}"]
        lines += [f"{one.name:<13}{one.life():<{width}}{one.outcome()}" for one in self.processes]
        return "\n".join(line.rstrip() for line in lines)


@dataclass(frozen=True)
class Note:
    """A line of the diary."""

    moment: float
    pid: int
    name: str
    event: str
    work: str


def measure(init: Init, folder: Path) -> Ending:
    """Start the container in an empty folder, stop it while all work is in progress, and record what happens."""
    diary, account = folder / "diary", folder / "account"
    diary.touch()
    account.touch()
    command = init.command(str(START), folder)
    with Container([*IN_TIME, *command], cwd=folder, env=ENVIRONMENT, **QUIET) as container:
        eventually(
            lambda: Counter(note.work for note in _notes(diary) if note.event == "begins"),
            "all work has begun",
            holds=lambda begun: begun >= UNDER_WAY,
        )
        if subprocess.run(
            [*IN_TIME, *container.enter, INTERPRETER, "-ISc", SWITCH_ON, account], stdin=subprocess.DEVNULL
        ).returncode:
            raise Unavailable("the kernel has no process accounting (CONFIG_BSD_PROCESS_ACCT)")
        processes = _find(container.init, _notes(diary))
        with _watched(processes) as selector:
            began = max(note.moment for note in _notes(diary) if note.event == "begins")
            time.sleep(max(0, began + HEAD_START - time.monotonic()))
            stopped = time.monotonic()
            container.signal(init.stop_signal)
            for pid, moment in _ends(selector, container.init, stopped + GRACE):
                processes[pid].ended = moment - stopped
        container.process.wait()
    seconds = processes[container.init].ended
    found = sorted(processes.values(), key=lambda one: ROWS.index(one.name) if one.name in ROWS else -1)
    _add_how_they_ended(found, account.read_bytes())
    _add_what_they_did(found, _notes(diary), stopped, (folder / "app.log").read_text())
    return Ending(init.name, seconds, found)


def _notes(diary: Path) -> list[Note]:
    rows = [line.split("\t") for line in diary.read_text().splitlines()]
    return [Note(float(moment), int(pid), name, event, work) for moment, pid, name, event, work in rows]


def _find(pid_1: int, notes: Sequence[Note]) -> dict[int, Process]:
    """The processes of the container by their pids outside of it, without the init's helpers."""
    known = {note.pid: note.name for note in notes}
    found = {}
    for process in (psutil.Process(pid_1), *psutil.Process(pid_1).children(recursive=True)):
        with suppress(psutil.NoSuchProcess, FileNotFoundError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            pid = int(status.partition("NSpid:")[2].partition("\n")[0].split()[-1])
            name = known.get(pid) or process.name()
            if name in ROWS or process.pid == pid_1:
                found[process.pid] = Process(name if name in ROWS else "PID 1", pid)
    if missing := set(ROWS) - {process.name for process in found.values()}:
        raise Failed(f"these are not running: {', '.join(missing)}")
    return found


@contextmanager
def _watched(pids: Iterable[int]) -> Iterator[selectors.BaseSelector]:
    """Yield a selector of pidfds of these processes; the data of each is the pid."""
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for pid in pids:
            descriptor = os.pidfd_open(pid)
            stack.callback(os.close, descriptor)
            selector.register(descriptor, selectors.EVENT_READ, pid)
        yield selector


def _ends(selector: selectors.BaseSelector, pid_1: int, deadline: float) -> Iterator[tuple[int, float]]:
    """Yield each process when it exits, and the time. At the deadline, kill PID 1: the kernel then kills the others."""
    patience: float | None = deadline - time.monotonic()
    while selector.get_map():
        ended = selector.select(patience)
        moment = time.monotonic()
        for key, _ in ended:
            selector.unregister(key.fileobj)
            yield key.data, moment
        if patience is not None:
            patience = deadline - moment
            if patience <= 0:
                os.kill(pid_1, signal.SIGKILL)
                patience = None


def _add_how_they_ended(processes: Iterable[Process], account: bytes) -> None:
    """From the kernel's process accounting."""
    statuses = {}
    for _, version, _, status, _, _, pid, *_ in ACCOUNT.iter_unpack(account):
        if version != 3:
            raise Unavailable(f"process accounting of version {version}, not 3: it does not name pids")
        statuses[pid] = status
    for process in processes:
        if process.pid not in statuses:
            raise Failed(f"the kernel did not record how {process.name} exited: is the disk nearly full?")
        process.killed_by = os.WTERMSIG(statuses[process.pid])


def _add_what_they_did(processes: Iterable[Process], notes: Sequence[Note], stopped: float, log: str) -> None:
    """From their diary and their log."""
    for process in processes:
        own = [note for note in notes if note.pid == process.pid]
        process.asked = [note.moment - stopped for note in own if note.event == "asked"]
        completed = [note for note in own if note.event == "completes"]
        process.completed = [note.work for note in completed if note.moment > stopped]
        begun = Counter(note.work for note in own if note.event == "begins")
        process.lost = list((begun - Counter(note.work for note in completed)).elements())
        if process.name == "application":
            (process.completed if LAST_LINE in log else process.lost).append("last line")


def measure_all(inits: Iterable[Init], at_once: int) -> list[Ending]:
    """Measure the inits, up to `at_once` at a time: they sleep most of the time."""
    with tempfile.TemporaryDirectory(prefix="pyinit-ends-") as top, ThreadPoolExecutor(at_once) as pool:

        def measure_in_folder(init: Init) -> Ending:
            folder = Path(top, init.name)
            folder.mkdir()
            return measure(init, folder)

        return list(pool.map(measure_in_folder, inits))


def table(endings: Iterable[Ending]) -> str:
    """The work that each init lost, and the seconds until the container had ended."""
    heading = ["", *COLUMNS.values(), "seconds"]
    return "\n".join([f"| {' | '.join(heading)} |", "|" + "---|" * len(heading), *(ending.row() for ending in endings)])


MEASURED = re.compile(r"(<!-- measured: (\S+) -->\n)(.*?)\n(<!-- end -->)", re.DOTALL)
"""A measured part of the page: its name and its text."""


def measured(page: str) -> dict[str, str]:
    """The measured parts of the page, by name."""
    return {name: text for _, name, text, _ in MEASURED.findall(page)}


def filled_in(page: str, parts: Mapping[str, str]) -> str:
    """The page with its measured parts replaced."""
    return MEASURED.sub(lambda found: f"{found[1]}{parts[found[2]]}\n{found[4]}", page)


def main() -> None:
    """Measure and print; write the page if all inits were measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.ends", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("inits", nargs="*", metavar="INIT", help="measure only these, and do not write the page")
    wanted = parser.parse_args().inits
    with end_inits.provided(wanted) as inits:
        endings = measure_all(inits, at_once=1)
    print(table(endings))
    for ending in endings:
        print(f"\n{ending.init}\n\n{ending.diagram()}")
    if not wanted:
        diagrams = {ending.init: f"```text\n{ending.diagram()}\n```" for ending in endings}
        PAGE.write_text(filled_in(PAGE.read_text(), {"all": table(endings), **diagrams}))


if __name__ == "__main__":
    main()
