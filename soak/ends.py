"""Random families of processes at the end of a container."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from signal import SIGTERM

from soak import damage
from soak.fault import Broken, Counts, Setting
from soak.namespace import Namespace

NAME = "masters, pipes and handlers that fork, at the end"

_AT_ONCE = 4
_RUNS = 8
"""Containers in one run."""
_HEADS, _CHILDREN, _DEPTH = 8, 3, 3
"""The most heads, children of a process, and generations."""
_LONGEST = 0.8
"""Seconds of work, at most."""
_LINES, _SECONDS_A_LINE = 20, 0.02
_DRAIN_TIMEOUT = 30
"""Seconds. It never passes."""
_SHORT_DRAIN_TIMEOUT = 6
"""Seconds, if a process does not end."""
_LAST_CALL = 1
"""Seconds before the end of the drain timeout. SIGTERM goes to all then that have not been sent it."""
_MOST_LISTED = 20
"""How many stragglers the report lists one by one (docs/log.md)."""

PYINIT = "1"


def run(setting: Setting) -> Counts:
    """Let a workload end, by itself or after SIGTERM, that leaves a random family of processes. There are masters that
    wait for their pools, or hand SIGTERM on to them; writers whose lines a reader at the other end of a pipe still has
    to process; SIGTERM handlers that fork a child, which does the rest of the work; and processes that SIGTERM ends, or
    that ignore it, with such families below them. In some runs a process never ends, or PID 1 has lost descriptors,
    memory or its package before, or `--wait-for=all` is set.

    For each process it is known what it has to write: which work it completes, and who sends it SIGTERM, once. Nothing
    else may be written, nothing may be missing, the status is right, and the report names each straggler and what
    became of it. PID 1 waits for the drain timeout only if a process does not end.
    """
    counts = Counts()
    runs = []
    for number in range(_RUNS):
        folder = setting.folder / str(number)
        folder.mkdir()
        runs.append(replace(setting, folder=folder, chance=random.Random(setting.chance.getrandbits(32))))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for counted in pool.map(_contain, runs):
            counts += counted
    return counts


class _Family:
    """The words that describe a random family to tests/namespace/family.c, and what its members have to write."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.words: list[str] = []
        self.names: list[str] = []
        self.expected: list[str] = []
        """Lines; for a sender that is a member, its name stands in place of its pid."""
        self.asked: set[str] = set()
        """Those that pyinit asks."""
        self.may_end_before: set[str] = set()
        """Those that nobody asks: they may complete their work before the drain begins."""
        self.killed: set[str] = set()
        """Those that have to be killed."""

    def add_head(self) -> None:
        """Add a child of the workload, with descendants."""
        self._add(PYINIT, 1)

    def add_endless(self) -> None:
        """Add a process that never ends, and a reader of its output, which sees the end when the other is killed; and a
        master that waits for a process that never ends. SIGTERM for all, a second before the end, is not for it."""
        endless, reader = self._name("endless"), self._name("reader")
        self.words += [endless, "deaf", "|", reader, "filter", "0"]
        self.expected.append(f"{reader} saved")
        master, child = self._name("master"), self._name("endless")
        self.words += [master, "await", "{", child, "deaf", "}"]
        self.expected.append(f"{master} TERM from {PYINIT}")
        self.asked |= {endless, master}
        self.killed |= {endless, master, child}

    def _add(self, sender: str, depth: int) -> None:
        """Add a process that is sent SIGTERM by `sender`: by pyinit or a member."""
        kinds = [self._saver, self._master, self._forker, self._leaver]
        if depth < _DEPTH:
            kinds += [self._handing_on, self._mortal]
            if sender == PYINIT:  # a master would leave the children below it to that process
                kinds += [self._ignorant]
        if sender == PYINIT:  # a master would send SIGTERM to the reader, too
            kinds += [self._pipe, self._pipe]
        self._chance.choice(kinds)(sender, depth)

    def _saver(self, sender: str, depth: int) -> None:
        self._catches(self._name("saver"), sender, "save", self._seconds())

    def _master(self, sender: str, depth: int) -> None:
        self._catches(self._name("master"), sender, "await")
        with_children = self._chance.randint(1, _CHILDREN)
        self.words.append("{")
        for _ in range(with_children):
            self._add_pool(depth + 1)
        self.words.append("}")

    def _add_pool(self, depth: int) -> None:
        """Add a process that nobody may ask: SIGTERM would end it before its work is complete."""
        name = self._name("pool")
        self.expected.append(f"{name} saved")
        self.may_end_before.add(name)
        if depth < _DEPTH and self._chance.random() < 0.3:
            self.words += [name, "ignore", "{"]
            self._add_pool(depth + 1)
            self.words.append("}")
        else:
            self.words += [name, "work", self._seconds()]

    def _forker(self, sender: str, depth: int) -> None:
        name = self._name("forker")
        self._catches(name, sender, "fork-await", self._seconds())
        self.expected.append(f"{name}-heir saved")

    def _leaver(self, sender: str, depth: int) -> None:
        name = self._name("leaver")
        self._catches(name, sender, "fork-leave", self._seconds())
        self.expected += [f"{name}-heir TERM from {PYINIT}", f"{name}-heir saved"]

    def _handing_on(self, sender: str, depth: int) -> None:
        name = self._name("chief")
        self._catches(name, sender, "hand-on")
        self._children(name, depth)

    def _mortal(self, sender: str, depth: int) -> None:
        name = self._name("mortal")
        self._is_sent(name, sender)
        self.words += [name, "die"]
        self._children(PYINIT, depth)

    def _ignorant(self, sender: str, depth: int) -> None:
        name = self._name("ignorant")
        self._is_sent(name, sender)
        self.words += [name, "ignore"]
        self.expected.append(f"{name} saved")
        self._children(PYINIT, depth)

    def _pipe(self, sender: str, depth: int) -> None:
        writer, lines = self._name("writer"), self._chance.randint(0, _LINES)
        self._catches(writer, sender, "write", str(lines), f"{self._chance.uniform(0, _SECONDS_A_LINE):.3f}")
        reader = self._name("reader")
        self.words += ["|", reader, "filter", f"{self._chance.uniform(0, _SECONDS_A_LINE):.3f}"]
        self.expected += [f"{reader} line {number}" for number in range(1, lines + 1)]
        self.expected.append(f"{reader} saved")
        if self._chance.random() < 0.3:  # one more, that reads nothing but the end
            last = self._name("reader")
            self.words += ["|", last, "filter", "0"]
            self.expected.append(f"{last} saved")

    def _children(self, sender: str, depth: int) -> None:
        self.words.append("{")
        for _ in range(self._chance.randint(1, _CHILDREN)):
            self._add(sender, depth + 1)
        self.words.append("}")

    def _catches(self, name: str, sender: str, *behaviour: str) -> None:
        self._is_sent(name, sender)
        self.words += [name, *behaviour]
        self.expected += [f"{name} TERM from {sender}", f"{name} saved"]

    def _is_sent(self, name: str, sender: str) -> None:
        if sender == PYINIT:
            self.asked.add(name)

    def _name(self, role: str) -> str:
        self.names.append(f"{role}{len(self.names)}")
        return self.names[-1]

    def _seconds(self) -> str:
        return f"{self._chance.uniform(0, _LONGEST):.2f}"


def _contain(setting: Setting) -> Counts:
    chance = setting.chance
    family = _Family(chance)
    for _ in range(chance.randint(1, _HEADS)):
        family.add_head()
    has_endless, stays = chance.random() < 0.25, chance.random() < 0.25
    if has_endless:
        family.add_endless()
        stays = False
    # With fewer descriptors PID 1 cannot read /proc, and asks all at once.
    taken = damage.draw(setting, ["", "", "take-descriptors 3", "take-descriptors 5", *damage.MEMORY, *damage.PACKAGE])
    is_told = stays or chance.random() < 0.5
    top, status = (("die",), 128 + SIGTERM) if is_told else (("line", "9"), 9)
    options = ["--log-format=json", "-vv", "--exit-report=always"]
    options.append(f"--drain-timeout={_SHORT_DRAIN_TIMEOUT if has_endless else _DRAIN_TIMEOUT}")
    options += ["--wait-for=all"] * stays
    words = ["top", *top, "{", *family.words, "}"]
    workload = taken.workload(setting, "execute", str(setting.programs / "family"), *words)
    what = f"{taken}, {' '.join([*options, '--', *words])}"
    with Namespace(setting, options, workload, before=taken.before(setting)) as namespace:
        said: Counter[str] = Counter()
        pids: dict[str, str] = {}
        while len(pids) < 1 + len(family.names):
            name, is_ready, pid = (line := namespace.hear()).partition(" ready ")
            if is_ready:
                pids[name] = pid
            else:
                said[line] += 1
        if is_told:
            namespace.signal(SIGTERM)
        else:
            namespace.say()
        began = time.monotonic()
        namespace.await_end(status)
        if not has_endless and time.monotonic() - began > _DRAIN_TIMEOUT - _LAST_CALL:
            raise Broken(f"the end came only after {time.monotonic() - began:.1f} s; {what}")
        assert namespace.process.stdout
        said.update(namespace.process.stdout.read().decode().splitlines())
        expected = Counter(_with_pids(family.expected, pids))
        if said != expected:
            lost, more = sorted((expected - said).elements()), sorted((said - expected).elements())
            raise Broken(f"lost: {lost}; not expected: {more}; {what}; the log: {namespace.log.read_text()}")
        (report,) = [event for event in namespace.events() if event["event"] == "ended"]
        if not stays:
            _check_report(report, family, what)
    return Counts(faults=1, **{"lines written": said.total(), "stragglers": len(family.names)})


def _with_pids(lines: list[str], pids: dict[str, str]) -> Iterator[str]:
    for line in lines:
        text, has_sender, sender = line.partition(" from ")
        yield f"{text}{has_sender}{pids.get(sender, sender)}"


def _check_report(report: dict[str, object], family: _Family, what: str) -> None:
    """Check what the report says of the stragglers.

    Raises:
        Broken: it is wrong.
    """
    problems = []
    if report["stragglers_killed"] != len(family.killed) or report["stragglers_left"]:
        problems.append(f"{family.killed} were to be killed, and none left")
    most, ended = len(family.names) - len(family.killed), report["stragglers_ended"]
    assert isinstance(ended, int)
    if not most - len(family.may_end_before) <= ended <= most:
        problems.append(f"{most} should have ended, except perhaps {len(family.may_end_before)}")
    stragglers = report["stragglers"]
    assert isinstance(stragglers, list)
    named = {one["name"] for one in stragglers}
    if len(named) != min(len(family.killed) + ended, _MOST_LISTED) or not named <= {*family.names}:
        problems.append(f"not each straggler is named, once: {sorted(named)}")
    for one in stragglers:
        name = one["name"]
        outcome = "killed" if name in family.killed else "asked" if name in family.asked else "ended"
        if one["outcome"] != outcome:
            problems.append(f"{name}: {outcome}")
    if problems:
        raise Broken(f"{'; '.join(problems)}; {what}; the report: {report}")
