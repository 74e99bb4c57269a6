"""Hypothesis strategies for `test_bad_input`: valid, nearly valid and hostile input."""

import contextlib
import dataclasses
import functools
import io
import os
import signal
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from pyinit.ctl import commands, picture, published
from pyinit.ctl.failure import CannotLook
from pyinit.kernel import procfs, signals
from pyinit.options import personas
from pyinit.options.settings import OWN, Persona
from pyinit.options.table import Option, rows

_EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "")


def tried(examples: int) -> settings:
    """The settings of a test with this many examples. They are the same in each run, since a test must not be flaky.

    With ``FUZZ_EXAMPLES`` in the environment, that many examples, different ones in each run.
    """
    return settings(
        max_examples=int(_EXAMPLES or examples),
        derandomize=not _EXAMPLES,
        database=None,
        deadline=None,
        print_blob=True,
    )


PIECES = [
    *["", "\n", "\r", "\t", "\0", "\x1b[31m", "\x85", "\u2028", "\u202e", "\ud800", "\udcff", "\\"],
    *[
        '"',
        "'",
        "=",
        ":",
        ",",
        "-",
        "--",
        "/",
        " ",
        "(",
        ")",
        ") Z 1 (",
        "\npyinit: ",
        "\n# TYPE",
        "{program}",
        "{0}",
        "%s",
    ],
    *["0", "-1", "1e9", "NaN", "\u0663", "\u00b2", "\u0131", "\u017f", "9" * 20, "9" * 5000],
]
"""Text that is known to break parsers and terminals."""

TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=4).map("".join) | st.text(max_size=20)
BYTES = TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=40)
WORDS = BYTES.map(lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
"""Any argument that execve(2) can pass, as a Python string."""


@st.composite
def edited(draw: st.DrawFn, valid: st.SearchStrategy[str]) -> str:
    """Valid text with a mistake in it."""
    text = draw(valid)
    start = draw(st.integers(0, len(text)))
    return text[:start] + draw(st.sampled_from(PIECES)) + text[start + draw(st.integers(0, 2)) :]


# The command line.

PERSONAS = [OWN, *{persona.name: persona for persona in personas.PERSONAS.values()}.values()]

_NAMES = [one.name for one in signal.Signals]
_SIGNALS = st.sampled_from([*_NAMES, *[name[3:].lower() for name in _NAMES], "RTMIN+3", "RTMAX-1", "1", "64"])
_CAUGHT = _SIGNALS.filter(lambda name: signals.number_of(name) in signals.CAUGHT)
_SECONDS = st.sampled_from(["0", "5", "0.25", "1.", ".5", "999999999.999999999"])
_CODES = st.integers(0, 255).map(str)
VALUES: dict[str, st.SearchStrategy[str]] = {
    "forward-to": st.sampled_from(["child", "group", "all"]),
    "rewrite": st.builds("{}:{}".format, _CAUGHT, _SIGNALS | st.just("0")),
    "stop-timeout": _SECONDS,
    "drain-timeout": _SECONDS,
    "wait-for": st.sampled_from(["main", "all"]),
    "orphans": st.sampled_from(["keep", "terminate"]),
    "remap-exit": _CODES | st.builds("{}:{}".format, _CODES, _CODES),
    "parent-death-signal": _SIGNALS,
    "user": st.sampled_from(["root", "0", "0:0", "root:0", "4294967294", "12345:67"]),
    "zombie-watch": _SECONDS,
    "log-format": st.sampled_from(["text", "json"]),
    "exit-report": st.sampled_from(["never", "abnormal", "always"]),
    "termination-log": st.sampled_from(["/dev/termination-log", "log", "./é"]),
}
"""Valid values, by the long name of the option."""

_TWINS = {
    "TINI_KILL_PROCESS_GROUP": st.sampled_from(["", "0", "x"]),
    "TINI_SUBREAPER": st.sampled_from(["", "0", "x"]),
    "TINI_VERBOSITY": st.sampled_from(["0", "4", "999"]),
    "PYINIT_VERBOSITY": st.sampled_from(["0", "4", "999"]),
}
_BOOLEANS = st.sampled_from(["1", "0", "true", "No", "ON", "off"])


@dataclasses.dataclass(frozen=True)
class Chosen:
    """An option with a value."""

    option: Option
    value: str

    def spellings(self) -> list[list[str]]:
        """All ways to write it."""
        short, long = f"-{self.option.short}", f"--{self.option.long}"
        if not self.option.metavar:
            return [[long], [short]] if self.option.short else [[long]]
        ways = [[f"{long}={self.value}"], [long, self.value]]
        if self.option.short:
            ways += [[short, self.value], *([[short + self.value]] if self.value else [])]
        return ways


@functools.cache
def chosen(persona: Persona, is_valid: bool) -> st.SearchStrategy[Chosen]:
    """An option of this persona, with a value."""
    values = [
        st.builds(Chosen, st.just(row), _value(VALUES[row.long], is_valid) if row.metavar else st.just(""))
        for row in rows(persona)
    ]
    return st.one_of(values)


@functools.cache
def environs(persona: Persona, is_valid: bool) -> st.SearchStrategy[dict[bytes, bytes]]:
    """Environment variables of the options, including some that this persona does not read."""
    pairs = []
    for row in rows(persona):
        for variable, _ in row.twins():
            usual = VALUES[row.long] if row.metavar else _BOOLEANS
            value = _value(_TWINS.get(variable, usual), is_valid).map(_as_bytes)
            pairs.append(st.tuples(st.just(variable.encode()), value))
    return st.lists(st.one_of(pairs), max_size=5).map(dict)


@functools.cache
def command_lines(persona: Persona) -> st.SearchStrategy[list[str]]:
    """Options in all spellings, combined short ones and mistakes included, with or without a program."""
    said = chosen(persona, is_valid=False).flatmap(lambda one: st.sampled_from(one.spellings()))
    letters = "".join(row.short for row in rows(persona) if not row.metavar)
    joined = st.text(letters, min_size=1, max_size=4).map(lambda text: ["-" + text])
    with_value = st.builds(lambda flags, last: [f"{flags[0]}{last[0].lstrip('-')}", *last[1:]], joined, said)
    longs = st.sampled_from([f"--{row.long}" for row in rows(persona)])
    wrong = (longs | edited(longs) | st.builds("{}={}".format, longs, WORDS)).map(lambda word: [word])
    parts = st.lists(said | joined | with_value | wrong | WORDS.map(lambda word: [word]), max_size=5)
    program = st.sampled_from([[], ["ls"], ["--", "ls", "-v"], ["--"]]) | WORDS.map(lambda word: ["--", word])
    return st.builds(lambda parts, end: [word for part in [*parts, end] for word in part], parts, program)


def _as_bytes(text: str) -> bytes:
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogatepass")
    return raw.replace(b"\0", b"")


def _value(valid: st.SearchStrategy[str], is_valid: bool) -> st.SearchStrategy[str]:
    return valid if is_valid else valid | edited(valid) | WORDS


# /proc. Only the kernel writes it, so `procfs.read`, which all code uses, reads from a dictionary instead. (The real
# /proc is tested with the one thing that a process can choose: its name.)

COMMS = (st.binary(max_size=15) | BYTES | st.just(b"pyinit")).map(lambda raw: raw[:15].replace(b"\0", b"?") or b"?")
_ARGUMENTS = st.lists(
    BYTES | st.sampled_from([b"-Xname=", b"-Xname=tini", b"-Xmask=1", b"-X", b"x" * 9000]), max_size=4
)
COMMAND_LINES = st.builds(
    lambda launcher, words: b"\0".join([*launcher, *words, b""]),
    st.sampled_from([[], [b"python3", b"-ISBXutf8"]]),
    _ARGUMENTS,
)


@dataclasses.dataclass(frozen=True)
class Forged:
    """A forged process in /proc."""

    pid: int
    parent: int
    comm: bytes
    state: bytes = b"S"
    started: int = 100
    tracer: int = 0
    threads: int = 1
    groups: int = 0
    """The number of its supplementary groups."""
    command_line: bytes = b""

    def stat(self) -> bytes:
        """``/proc/PID/stat``, with the unescaped name."""
        head = b"%d (%s) %s %d 1 1 0 -1 0 0 0 0 0" % (self.pid, self.comm, self.state, self.parent)
        return b"%s 0 0 0 0 20 0 %d 0 %d 0 0%s\n" % (head, self.threads, self.started, b" 0" * 28)

    def status(self) -> bytes:
        """``/proc/PID/status``, where newlines and backslashes in the name are escaped."""
        name = self.comm.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
        lines = [
            b"Name:\t" + name,
            b"Umask:\t0022",
            b"State:\t%s (whatever)" % self.state,
            *(b"%s:\t%d" % one for one in [(b"Tgid", self.pid), (b"Ngid", 0), (b"Pid", self.pid)]),
            *(b"%s:\t%d" % one for one in [(b"PPid", self.parent), (b"TracerPid", self.tracer)]),
            b"Groups:\t%s" % (b"1234567890 " * self.groups),
            b"NStgid:\t%d" % self.pid,
            b"NSpid:\t%d" % self.pid,
            b"SigCgt:\t0000000000010000",
        ]
        return b"\n".join(lines) + b"\n"

    def sched(self) -> bytes:
        """``/proc/PID/sched``, with the unescaped name."""
        return b"%s (%d, #threads: 1)\n-------\nse.exec_start   :   1500.000001\n" % (self.comm, self.pid)


@st.composite
def families(draw: st.DrawFn) -> list[Forged]:
    """PID 1 and its descendants, including zombies."""
    family = [Forged(1, 0, draw(COMMS), started=0, command_line=draw(COMMAND_LINES))]
    for pid in range(2, draw(st.integers(2, 6))):
        state = draw(st.sampled_from([b"Z", b"S", b"T", b"t", b"R"]))
        parent = draw(st.integers(0, pid - 1))
        tracer = draw(st.sampled_from([0, 0, 1, 99]))
        threads = draw(st.sampled_from([1, 1, 2]))
        family.append(Forged(pid, parent, draw(COMMS), state, pid, tracer, threads, command_line=draw(COMMAND_LINES)))
    return family


class Proc:
    """A forged /proc: files by their path."""

    def __init__(self, family: list[Forged]) -> None:
        self.files: dict[str, bytes] = {}
        for one in family:
            folder = f"/proc/{one.pid}"
            self.files |= {f"{folder}/stat": one.stat(), f"{folder}/status": one.status()}
            self.files |= {f"{folder}/sched": one.sched(), f"{folder}/cmdline": one.command_line}

    def read(self, path: str) -> bytes | None:
        """Replaces `procfs.read`."""
        return self.files.get(path)

    def record(self, path: str) -> bytes | None:
        """Replaces `procfs.record`."""
        return self.files.get(path)

    def open(self, path: str, mode: str, buffering: int) -> io.BytesIO:
        """Replaces `open`, for command lines."""
        if path not in self.files:
            raise FileNotFoundError(path)
        return io.BytesIO(self.files[path])

    def listdir(self, path: str) -> list[str]:
        """The entries of ``/proc``."""
        return ["self", *sorted({path.split("/")[2] for path in self.files if path.split("/")[2].isdigit()})]


@contextlib.contextmanager
def shown(proc: Proc) -> Iterator[None]:
    """Replace /proc by this, also for the commands of pyinitctl."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(procfs, "read", proc.read)
        patch.setattr(procfs, "record", proc.record)
        patch.setattr(procfs, "is_ours", lambda: True)
        patch.setattr("posix.listdir", proc.listdir)
        patch.setattr("pyinit.reporting.zombies._entries", lambda: iter(proc.listdir("/proc")))
        patch.setattr(commands, "open", proc.open, raising=False)
        patch.setattr(published, "read", _no_counters)
        patch.setattr(picture, "MOMENT", 0.0)
        yield


def _no_counters(pid: int) -> published.Counters:
    raise CannotLook("no counters")


@st.composite
def damages(draw: st.DrawFn) -> Callable[[Proc], None]:
    """Functions that damage some files: truncated, empty, missing, or with other content."""
    instead = st.none() | BYTES | st.just(b"\n")
    harms = draw(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 200), instead), max_size=4))

    def harm(proc: Proc) -> None:
        for which, cut, other in harms:
            paths = sorted(proc.files)
            if not paths:
                return
            path = paths[which % len(paths)]
            if cut > 150 and other is None:
                del proc.files[path]
            else:
                proc.files[path] = proc.files[path][:cut] if other is None else other

    return harm


# A page of counters that is overwritten while it is read.


@dataclasses.dataclass(frozen=True)
class Written:
    """States of a page that overwrite each other, byte by byte from the start, and three reads meanwhile."""

    states: list[bytes]
    looks: list[tuple[int, int]]
    """The begin and the end of each read, in bytes written since the start."""

    def seen(self, look: int) -> bytes:
        """The result of this read, which also goes from start to end."""
        start, end = self.looks[look]
        length = max(map(len, self.states))
        content = [self._at(place, start + (end - start) * place // length) for place in range(length)]
        return bytes(byte for byte in content if byte is not None)

    def _at(self, place: int, time: int) -> int | None:
        """The byte at this place at this time."""
        found = None
        for state in self.states:
            if place < len(state) and time >= place:
                found = state[place]
            time -= len(state)
        return found


@st.composite
def writings(draw: st.DrawFn, page: Callable[[int, int], bytes]) -> Written:
    """Three states with consecutive numbers and any length, and three reads one after the other."""
    first = draw(st.sampled_from([1, 8, 9, 98, 99]))
    states = [page(first + number, draw(st.integers(0, 30))) for number in range(3)]
    times = st.integers(0, sum(map(len, states)))
    moments = sorted(draw(st.lists(times, min_size=6, max_size=6)))
    return Written(states, [(moments[0], moments[1]), (moments[2], moments[3]), (moments[4], moments[5])])
