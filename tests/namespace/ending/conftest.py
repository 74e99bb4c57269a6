"""pyinit as PID 1 and as a subreaper, with workloads that note which signals they get."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import dedent, indent

import psutil
import pytest

from testing.namespaces import IN_TIME, INTERPRETER, UNSHARE, Container, python
from testing.waiting import Failed, eventually

PID_1 = "PID 1"
SUBREAPER = "subreaper"

NEVER_NEEDED = "--drain-timeout=60"
"""A drain timeout that does not pass: a process that is asked within seconds was asked for another reason."""

SOON = 20.0
"""Seconds that count as "at once", on a loaded machine."""

ABOVE = """if True:
    import _signal, posix, sys, time

    everything = _signal.valid_signals()
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, everything)
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    stranger = posix.fork()
    if stranger == 0:
        while True:
            time.sleep(1000)
    pyinit = posix.fork()
    if pyinit == 0:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
        posix.execv(sys.argv[1], sys.argv[1:])
    _, status = posix.waitpid(pyinit, 0)

    def fields(pid):
        lines = open(f"/proc/{pid}/status").read().splitlines()
        return {key: value.strip() for key, _, value in [line.partition(":") for line in lines]}

    heard = fields(stranger)
    if int(heard["SigPnd"], 16) | int(heard["ShdPnd"], 16):
        print("the stranger heard", heard["SigPnd"], heard["ShdPnd"], file=sys.stderr)
    for entry in posix.listdir("/proc"):
        if entry.isdigit() and int(entry) not in (1, stranger):
            try:
                other = fields(entry)
            except OSError:
                continue
            if other["State"][0] not in "ZX":
                print("survivor:", entry, other["Name"], file=sys.stderr)
    sys.exit(posix.waitstatus_to_exitcode(status) % 256)
"""
"""PID 1 of a namespace in which pyinit is a subreaper, with pid 3. Pid 2 is a stranger. PID 1 reports the survivors,
and whether the stranger got a signal."""

FOLDER = Path(__file__).parent


def command(name: str, role: str, *arguments: object) -> list[str]:
    """The words that start one process of ``workload.py`` with this role."""
    return [INTERPRETER, "-IS", str(FOLDER / "workload.py"), name, role, *map(str, arguments)]


def shell_command(name: str, role: str, *arguments: object) -> str:
    """The same as a command for a shell. (No word needs quotes.)"""
    return " ".join(command(name, role, *arguments))


def program(text: str, *arguments: str) -> list[str]:
    """The words that run a program for which ``workload.py`` is imported; `arguments` are its ``sys.argv[1:]``."""
    imports = f"import _signal, posix, sys, time; sys.path.insert(0, {str(FOLDER)!r}); from workload import *"
    interrupts = "_signal.signal(_signal.SIGINT, _signal.SIG_DFL)"  # CPython has its own handler
    return python(f"if True:\n    {imports}\n    {interrupts}\n{indent(dedent(text), '    ')}", *arguments)


@dataclass(frozen=True)
class Note:
    """A line of the journal."""

    time: float
    """By the monotonic clock."""
    name: str
    """The process."""
    event: str
    """The name of a signal without SIG, or what the process did."""
    detail: str
    """The pid of the sender, if it is known."""


@dataclass(frozen=True)
class Outcome:
    """How it ended."""

    status: int
    out: str
    err: str
    seconds: float
    """From the beginning of the end until pyinit exits."""


class Watched(Container):
    """A container whose processes write a journal."""

    def __init__(self, command: Sequence[str | bytes | Path], place: str, folder: Path, **popen: object) -> None:
        super().__init__(command, cwd=folder, **popen)
        self._place = place
        self.folder = folder
        self.began = 0.0
        """When the end began, by the monotonic clock."""
        self.outcome: Outcome | None = None
        """Set when it has ended."""

    @cached_property
    def init(self) -> int:
        """The pid of pyinit, as it is seen from outside."""

        def look() -> int:
            if self.process.poll() is not None:
                raise Failed(f"it ended at once: {self.end()}")
            try:
                found = psutil.Process(self.process.pid).children()
                if found and self._place == SUBREAPER:
                    found = [child for child in found[0].children() if own_pid(child.pid) == self.sender]
            except (psutil.NoSuchProcess, OSError):
                return 0
            return found[0].pid if found else 0

        return eventually(look, "pyinit is started")

    @property
    def sender(self) -> str:
        """The pid of pyinit in its namespace (see `ABOVE`), as the detail of a note."""
        return "1" if self._place == PID_1 else "3"

    @property
    def notes(self) -> list[Note]:
        """The journal."""
        path = self.folder / "journal"
        found = []
        for line in path.read_text().splitlines() if path.exists() else ():
            when, name, event, detail = line.split(" ", 3)
            found.append(Note(float(when), name, event, detail))
        return found

    def events(self, name: str) -> list[str]:
        """The events that a process has noted since it was ready."""
        seen = [note.event for note in self.notes if note.name == name]
        return seen[seen.index("ready") + 1 :] if "ready" in seen else seen

    def asked(self, name: str, event: str = "TERM") -> list[float]:
        """The seconds from the beginning of the end until pyinit sent this signal to a process that listens."""
        return [note.time - self.began for note in self.notes_of(name, event) if note.detail == self.sender]

    def notes_of(self, name: str, event: str) -> list[Note]:
        """The notes of one process about one event."""
        return [note for note in self.notes if (note.name, note.event) == (name, event)]

    def time_of(self, name: str, event: str) -> float:
        """The seconds from the beginning of the end until a process first noted this event."""
        found = self.notes_of(name, event)
        assert found, f"no {event} of {name}; {self.story}"
        return found[0].time - self.began

    def await_event(self, event: str, *names: str) -> None:
        """Wait until each of these processes has noted it."""

        def look() -> set[str]:
            if self.process.poll() is not None:
                raise Failed(f"it ended too soon: {self.end()}\n{self.story}")
            return set(names) - {note.name for note in self.notes if note.event == event}

        eventually(look, f"{event} of {names}", holds=lambda missing: not missing)

    def await_ready(self, *names: str) -> None:
        """Wait until each of these processes is ready."""
        self.await_event("ready", *names)

    def leave(self) -> None:
        """Write the line that makes the workload exit by itself."""
        self._begin_the_end()
        self.say()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send pyinit a stop signal, which begins the end."""
        _ = self.init  # find it before the end begins
        self._begin_the_end()
        self.signal(number)

    def await_file(self, name: str) -> None:
        """Wait until this file exists."""
        eventually((self.folder / name).exists, f"the file {name}")

    def await_exit(self, name: str) -> None:
        """Wait until a process that was ready has exited and was reaped."""
        (pid,) = [note.detail for note in self.notes_of(name, "ready")]
        eventually(self._pids, f"{name} has exited", holds=lambda pids: pid not in pids)

    def _pids(self) -> set[str]:
        """The pids of all processes, in their own namespaces."""
        found = set()
        for member in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(OSError):
                found.add(own_pid(member.pid))
        return found

    def await_programs(self, *names: str) -> None:
        """Wait until a process runs each of these programs: it has its standard input by then."""

        def look() -> set[str]:
            missing = set(names)
            for member in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    missing.discard(member.name())
            return missing

        eventually(look, f"these run: {names}", holds=lambda missing: not missing)

    def await_stopped(self, count: int = 1) -> None:
        """Wait until `count` processes are in the state T."""

        def look() -> int:
            try:
                family = psutil.Process(self.process.pid).children(recursive=True)
                return sum(member.status() == psutil.STATUS_STOPPED for member in family)
            except psutil.NoSuchProcess:
                return -1

        eventually(look, f"{count} stopped processes", holds=lambda seen: seen == count)

    def _begin_the_end(self) -> None:
        self.began = time.monotonic()
        (self.folder / "over").touch()

    def finish(self) -> Outcome:
        """Wait for the end, with standard input open; check that no process survives and no stranger got a signal."""
        held, self.process.stdin = self.process.stdin, None  # `communicate` would close it
        try:
            ended = self.end()
        except subprocess.TimeoutExpired:
            raise Failed(f"it did not end: {self.picture()}\n{self.story}") from None
        finally:
            self.process.stdin = held
        self.outcome = Outcome(ended.status, ended.out, ended.err, time.monotonic() - self.began)
        for unwanted in ("survivor: ", "the stranger heard", "Traceback", "carrying on"):
            assert unwanted not in ended.err, self.story
        return self.outcome

    @property
    def story(self) -> str:
        """All that was seen, for a message."""
        lines = [
            f"{note.time - self.began:7.3f}  {note.name} {note.event} {note.detail}"
            for note in sorted(self.notes, key=lambda note: note.time)
        ]
        if self.outcome:
            lines.append(f"{self.outcome.seconds:7.3f}  the end, status {self.outcome.status}")
            lines.append(f"standard output:\n{self.outcome.out}\nstandard error:\n{self.outcome.err}")
        return "\n".join(["what was seen:", *lines])

    def picture(self) -> str:
        """The processes that are left, for a message."""
        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return "none"
        return "\n".join(str(member) for member in family)


def own_pid(pid: int) -> str:
    """The pid of a process in its own namespace."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:"))


Begin = Callable[..., Watched]


@pytest.fixture(params=[PID_1, SUBREAPER])
def place(request: pytest.FixtureRequest) -> str:
    """Whether pyinit is PID 1 of the namespace, or a subreaper below it."""
    return str(request.param)


@pytest.fixture
def begin(launcher: str, place: str, tmp_path: Path) -> Iterator[Begin]:
    """Start pyinit with these words, in a folder of its own; the container is killed after the test.

    Standard input is a pipe that the test holds.
    """
    above = [] if place == PID_1 else python(ABOVE)
    with ExitStack() as stack:

        def begin(*words: str, **popen: object) -> Watched:
            watched = Watched(
                [*IN_TIME, *UNSHARE, *above, launcher, *words], place, tmp_path, **{"stdin": subprocess.PIPE, **popen}
            )
            return stack.enter_context(watched)

        yield begin


def lines(count: int) -> str:
    """The output of ``write_lines``."""
    from .workload import line

    return b"".join(line(number) for number in range(count)).decode()
