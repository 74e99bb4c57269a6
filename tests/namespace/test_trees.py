"""Random trees of processes: whatever they do, pyinit ends in time, with the right status, and nothing survives.

With ``TREES=2000`` each test tries 2000 new trees in place of a few that are always the same.
"""

import ast
import contextlib
import os
import select
import shlex
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.namespaces import IN_TIME, UNSHARE, Container, python

EXAMPLES = int(os.environ.get("TREES", "0"))

SLACK = 40.0
"""Seconds that a loaded machine may take for work that needs hardly any time. A hang takes longer."""

PLENTY = 120.0
"""Seconds of a timeout that must not pass, because the processes end by themselves."""

STOP = (signal.SIGTERM, signal.SIGINT)
"""The stop signals that are sent. (SIGQUIT would make the kernel write core files.)"""

OBEYED = 42
"""The exit status of a process that ends in an orderly way when it gets a stop signal."""

HEARS = ("die", "obey", "block")
"""The reactions of a workload that ends when it gets a stop signal."""

needs_pidfd = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this Python was built without pidfds")
on_many_trees = settings(max_examples=EXAMPLES or 25, derandomize=not EXAMPLES, deadline=None, print_blob=False)


@dataclass(frozen=True)
class Process:
    """What a process of the tree does, after it has started its children."""

    reaction: str = "die"
    """To a stop signal: ``die`` of it; catch it and ``obey`` (exit in an orderly way), ``await`` its children, or
    ``hand-on`` the signal to them and await them; ``block`` it and exit in an orderly way when it is pending;
    ``ignore`` it; or be ``deaf``: ignore it from the first moment, even while it starts its children."""
    lingers: float = 0.0
    """Seconds that it takes to ``obey``, or with ``block``."""
    reads: bool = False
    """Whether its standard input is a pipe from the sibling before it, or from its parent if it is the first. It exits
    at the end of its input."""
    lives: float | None = 0.0
    """Seconds until it exits by itself; None for never."""
    born: str = "child"
    """``child``: by a fork; ``session``: calls setsid, too; ``daemon``: by two forks, and the process between exits."""
    stops: bool = False
    """Whether it stops itself (SIGSTOP) first."""
    forks: str = "nothing"
    """What it starts again and again: ``children`` or ``orphans`` that end soon, or ``itself``: it starts a successor
    and exits."""
    waits: bool = False
    """Whether it reaps its children."""
    children: tuple["Process", ...] = ()

    @property
    def family(self) -> list["Process"]:
        """The process and its descendants."""
        return [self, *(member for child in self.children for member in child.family)]

    @property
    def lineage(self) -> list[tuple["Process", "Process"]]:
        """Its descendants, in the order of `family`, each with its parent."""
        return [pair for child in self.children for pair in [(child, self), *child.lineage]]

    @property
    def generations(self) -> int:
        """The number of generations, with its own."""
        return 1 + max((child.generations for child in self.children), default=0)


@dataclass(frozen=True)
class Workload(Process):
    """The root of the tree, and pyinit's child."""

    status: int = 0
    """How it ends by itself: the exit status, or the negative number of the signal that it kills itself with."""
    patient: bool = True
    """Whether it begins only when the whole tree has been started."""


@dataclass(frozen=True)
class Plan:
    """A run of pyinit."""

    workload: Workload
    polite: bool = True
    """Whether every process except for the workload ends soon, by itself or if it is asked in the right order. Then
    none may be killed."""
    drain_timeout: float = PLENTY
    stop_timeout: float | None = None
    wait_for: str = "main"
    orphans: str = "keep"
    forward_to: str = "child"
    log: tuple[str, ...] = ()
    """More options."""
    signals: tuple[tuple[float, int], ...] = ()
    """The signals from outside: seconds after the beginning of the workload or the previous signal, and number."""
    odd_names: bool = False
    """Whether the processes have names that are easily misread."""

    @property
    def options(self) -> list[str]:
        """The words for pyinit."""
        stop_timeout = [] if self.stop_timeout is None else [f"--stop-timeout={self.stop_timeout}"]
        drain_timeout = f"--drain-timeout={self.drain_timeout}"
        who = [f"--wait-for={self.wait_for}", f"--orphans={self.orphans}", f"--forward-to={self.forward_to}"]
        return [*stop_timeout, drain_timeout, *who, *self.log]

    @property
    def stopped_after(self) -> float | None:
        """When the first stop signal is sent, in seconds after the workload has begun."""
        passed = 0.0
        for gap, number in self.signals:
            passed += gap
            if number in STOP:
                return passed
        return None

    @property
    def stops_sent(self) -> int:
        """How many stop signals are sent. The second one is impatience, and goes to all."""
        return sum(number in STOP for _, number in self.signals)

    @property
    def has_end(self) -> bool:
        """Whether the workload ends by itself."""
        return self.workload.lives is not None and not self.workload.stops

    @property
    def has_ear(self) -> bool:
        """Whether the workload ends when it gets a stop signal, even one that comes before it would stop itself."""
        return self.workload.reaction in HEARS and not self.workload.stops

    def promises(self, process: Process, parent: Process) -> bool:
        """Whether the process will end in an orderly way: by itself, or if it is asked at the right time."""
        if process.reaction != "die":
            return process.reaction not in ("ignore", "deaf") or process.lives is not None
        if self.forward_to != "child" or self.orphans != "keep" or self.stops_sent > 1 or parent.reaction == "hand-on":
            return False  # it may get the signal at any time
        in_charge = parent.reaction == "await" and parent.lives is None and not parent.reads and self.workload.patient
        is_task = process.lives is not None and process.born != "daemon" and process.forks != "itself"
        return process.reads or (in_charge and is_task)

    @property
    def is_left_in_peace(self) -> bool:
        """Whether no process may get a signal, because all end by themselves and are waited for."""
        return self.wait_for == "all" and self.orphans == "keep" and self.stopped_after is None

    @property
    def has_straggler(self) -> bool:
        """Whether it is certain that there is a process at the workload's end that only SIGKILL ends."""
        return self.workload.patient and any(
            member.reaction in ("ignore", "deaf")
            and member.lives is None
            and member.forks != "itself"
            and not member.reads
            for member in self.workload.family[1:]
        )

    @property
    def statuses(self) -> set[int]:
        """The right statuses. There are several only if the status depends on which process is first."""
        right = set()
        workload, is_stopped = self.workload, self.stopped_after is not None
        if self.has_end or (workload.lives is not None and is_stopped):
            right.add(workload.status if workload.status >= 0 else 128 - workload.status)
        if is_stopped:
            if workload.reaction in ("obey", "block"):
                right.add(OBEYED)
            elif workload.reaction == "die":
                right.update(128 + number for _, number in self.signals if number in STOP)
            if self.stop_timeout not in (None, PLENTY) and not (self.has_ear and workload.reaction == "die"):
                right.add(128 + signal.SIGKILL)
        return right

    @property
    def earliest(self) -> float:
        """Seconds after the beginning of the workload before which pyinit must not end."""
        if not self.has_straggler or self.orphans == "terminate":
            return 0.0
        ends = []
        if self.stopped_after is not None and self.stop_timeout is not None:
            ends.append(self.stopped_after + self.stop_timeout)
        if self.wait_for == "main" and self.has_end:
            ends.append(self.workload.lives or 0.0)
        if self.wait_for == "main" and self.stopped_after is not None and self.workload.reaction != "ignore":
            ends.append(self.stopped_after)
        if self.wait_for == "main" and self.stopped_after is not None and self.workload.stops:  # it is continued
            ends.append(self.stopped_after)
        return min(ends) + self.drain_timeout

    @property
    def latest(self) -> float:
        """Seconds after the beginning of the workload when pyinit must have ended."""
        grace = 0.0 if self.polite else self.drain_timeout + 1
        passed = (self.stopped_after or 0.0) + max(member.lives or 0.0 for member in self.workload.family) + grace
        passed += self.workload.generations * 0.5  # to linger, and to be found re-parented
        if self.stop_timeout is not None and (self.wait_for == "all" or not (self.has_end or self.has_ear)):
            passed += self.stop_timeout
        elif self.wait_for == "all":  # a generation is orphaned, and found, after the end of the one before
            passed += self.workload.generations * (grace + 2)
        return passed + SLACK


# The strategies. Simplest values come first: Hypothesis shrinks towards them.

SOON = (0.0, 0.05, 0.3)
REACTIONS = ["die", "obey", "await", "block", "hand-on", "ignore"]


def processes(polite: bool) -> st.SearchStrategy[Process]:
    """Trees of processes below the workload."""

    def trees(children: st.SearchStrategy[tuple[Process, ...]]) -> st.SearchStrategy[Process]:
        return st.builds(
            Process,
            reaction=st.sampled_from(REACTIONS if polite else [*REACTIONS, "deaf"]),
            lingers=st.sampled_from([0.0, 0.0, 0.3]),
            reads=st.sampled_from([False, False, True]),
            lives=st.sampled_from([*SOON, None, None, None]),
            born=st.sampled_from(["child", "session", "daemon"]),
            stops=st.sampled_from([False, False, True]),
            forks=st.sampled_from(["nothing", "nothing", "nothing", "children", "orphans", "itself"]),
            waits=st.booleans(),
            children=children,
        ).map(make_polite if polite else lambda process: process)

    return st.recursive(trees(st.just(())), lambda some: trees(st.lists(some, max_size=4).map(tuple)), max_leaves=10)


def make_polite(process: Process) -> Process:
    """Make the process end soon, by itself or if it is asked in the right order. Its children do so already."""
    if process.reads:  # spared readers are not continued
        process = replace(process, stops=False, forks="nothing")
    if process.forks == "itself":  # a signal that an exited predecessor has blocked or ignored is lost
        return replace(process, reaction="die")
    if process.reaction == "ignore" and process.lives is None:
        return replace(process, lives=0.3)
    if process.reaction == "await":  # it has a task to await. Its children are not asked by pyinit
        task = Process(lives=0.6)
        return replace(process, children=(task, *[throughout(child, make_mortal) for child in process.children]))
    if process.reaction == "hand-on":  # its children get the signal without SIGCONT
        return replace(process, children=tuple(replace(child, stops=False) for child in process.children))
    return process


def throughout(process: Process, change: Callable[[Process], Process]) -> Process:
    """Change the process and all its descendants."""
    return change(replace(process, children=tuple(throughout(child, change) for child in process.children)))


def make_mortal(process: Process) -> Process:
    """Make the process end by itself."""
    return replace(process, lives=0.3 if process.lives is None else process.lives, stops=False)


def make_easy(process: Process) -> Process:
    """Make the process one that can be asked to end and, much later, be found again and killed."""
    process = replace(process, reaction="die") if process.forks == "itself" else process
    return process if process.reaction == "die" else replace(process, stops=False)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Runs of pyinit that come to an end."""
    polite = draw(st.booleans())
    wait_for = draw(st.sampled_from(["main", "main", "all"]))
    orphans = draw(st.sampled_from(["keep", "keep", "terminate"]))
    long = [1.2] if orphans == "terminate" else []  # pyinit looks for orphans every second
    workload = Workload(
        children=tuple(draw(st.lists(processes(polite), max_size=5))),
        reaction=draw(st.sampled_from([*HEARS, "ignore"])),
        lives=draw(st.sampled_from([*SOON, *long, None, None])),
        stops=draw(st.sampled_from([False, False, False, True])),
        forks=draw(st.sampled_from(["nothing", "nothing", "children", "orphans"])),
        waits=draw(st.booleans()),
        status=draw(st.sampled_from([0, 1, 77, 143, 255, -signal.SIGTERM, -signal.SIGKILL, -signal.SIGUSR2])),
        patient=draw(st.sampled_from([True, True, False])),
    )
    if polite and (
        workload.reaction == "ignore"  # and so does a child that was just forked
        or any(process.stops and process.reaction != "die" for process in workload.family)  # after SIGCONT, perhaps
    ):
        workload = replace(workload, patient=True)
    harmless = st.sampled_from([signal.SIGUSR1, signal.SIGHUP, signal.SIGWINCH])
    gap = st.sampled_from([0.0, 0.001, 0.005, 0.02, 0.1, 0.3, *long])
    signals = draw(st.lists(st.tuples(gap, harmless), max_size=2))
    stop_timeout = None
    all_end_without = wait_for == "all" and draw(st.booleans())
    if all_end_without:
        changed = throughout(workload, make_mortal if orphans == "keep" else make_easy)
        assert isinstance(changed, Workload)
        workload = replace(changed, lives=changed.lives or 0.0, stops=False)
    has_end = workload.lives is not None and not workload.stops
    has_ear = workload.reaction in HEARS and not workload.stops
    if not all_end_without and (wait_for == "all" or not has_end or draw(st.booleans())):
        stop = st.tuples(gap, st.sampled_from(STOP))
        signals = [*signals, *draw(st.lists(stop, min_size=1, max_size=3))]
        if wait_for == "all" or not (has_end or has_ear):
            stop_timeout = draw(st.sampled_from([0.3, 0.6]))
        elif draw(st.booleans()):
            stop_timeout = PLENTY if has_ear else 0.3
    return Plan(
        workload,
        polite,
        drain_timeout=PLENTY if polite else draw(st.sampled_from([0.3, 0.5, 1.0])),
        stop_timeout=stop_timeout,
        wait_for=wait_for,
        orphans=orphans,
        forward_to=draw(st.sampled_from(["child", "child", "group", "all"])),
        log=draw(st.sampled_from([(), ("-v",), ("-w", "-vvv"), ("-q",)])),
        signals=tuple(draw(st.permutations(signals))),
        odd_names=draw(st.booleans()),
    )


# The programs.

TREE = """if True:
    import _signal, posix, sys, time

    STOP = {_signal.SIGTERM, _signal.SIGINT}
    READER, WRITER = posix.pipe()  # it ends when all processes have begun or died

    def say(text):
        posix.write(1, f"{text}\\n".encode())

    def react(process, reaction):
        action = _signal.SIG_DFL
        if reaction in ("ignore", "deaf"):
            action = _signal.SIG_IGN
        elif reaction in ("obey", "await", "hand-on"):
            action = lambda number, frame: asked(process, number)
        for number in STOP:
            _signal.signal(number, action)
        _signal.pthread_sigmask(_signal.SIG_BLOCK if reaction == "block" else _signal.SIG_UNBLOCK, STOP)

    def count(process, number, sender):
        if number == _signal.SIGTERM:
            say(f"!{process['number']}:{posix.getpid()}:{sender}")

    def asked(process, number):
        if posix.getpid() != process["pid"]:  # a child that has just been forked
            posix._exit(0)
        count(process, number, "?")
        if process["is_asked"]:
            return
        process["is_asked"] = True
        close(*process["outputs"])
        if process["reaction"] == "hand-on":
            for pid in process["pids"]:
                try:
                    posix.kill(pid, number)
                except ProcessLookupError:
                    pass
        if process["reaction"] == "obey":
            time.sleep(process["lingers"])
        else:
            await_children()
        obeyed(process)

    def await_children():
        try:
            while True:
                posix.wait()
        except ChildProcessError:
            pass

    def obeyed(process):
        say(f"~{process['number']}")
        posix._exit(OBEYED)

    def close(*fds):
        for fd in fds:
            if fd >= 0:
                posix.close(fd)

    def spawn(parent, process, input, output, *others):
        pid = posix.fork()
        if pid:
            close(input, output)
            return pid
        try:
            react(process, "deaf" if process["reaction"] == "deaf" else "die")
            close(*parent["outputs"], *others)
            if input < 0 and parent["reads"] and POLITE:
                input = posix.open("/dev/null", posix.O_RDONLY)  # unread bytes would be there for ever
            if input >= 0:
                posix.dup2(input, 0)
                close(input)
            if process["born"] != "child":
                posix.setsid()
            if process["born"] == "daemon" and posix.fork():
                posix._exit(0)
            process.update(pid=posix.getpid(), pids=[], outputs=[], is_asked=False)
            be(process, output)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        posix._exit(99)

    def start_children(process):
        fd = posix.open("/proc/self/comm", posix.O_WRONLY)
        posix.write(fd, process["name"].encode())
        posix.close(fd)
        children = process["children"]
        input = -1
        if children and children[0]["reads"]:
            input, output = posix.pipe()
            process["outputs"].append(output)
        for child, following in zip(children, [*children[1:], None]):
            next_input, output = posix.pipe() if following and following["reads"] else (-1, -1)
            process["pids"].append(spawn(process, child, input, output, next_input))
            input = next_input

    def be(process, output):
        start_children(process)
        react(process, process["reaction"])
        if output >= 0:  # it keeps that, and so do its descendants
            try:
                posix.write(output, b"some")
            except BrokenPipeError:
                pass
        if process["promises"]:
            say(f"+{process['number']}")  # to end in good order
        if process["stops"]:
            hold_others_until_stopped(posix.getpid())
        posix.close(WRITER)
        live(process)
        say(f"-{process['number']}")
        posix._exit(0)

    def hold_others_until_stopped(pid):
        'A SIGCONT that came before would be wasted.'
        if posix.fork() == 0:
            while posix.getppid() == pid and not is_stopped(pid):
                time.sleep(0.001)
            posix._exit(0)

    def is_stopped(pid):
        try:
            return b") T " in open(f"/proc/{pid}/stat", "rb").read()
        except OSError:  # it has ended
            return False

    def live(process):
        if process["stops"]:
            posix.kill(posix.getpid(), _signal.SIGSTOP)
            react(process, process["reaction"])
        end = float("inf") if process["lives"] is None else time.monotonic() + process["lives"]
        watched = STOP if process["reaction"] == "block" else set()
        if process["waits"]:
            watched = watched | {_signal.SIGCHLD}
            _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGCHLD])
        if process["reads"]:
            posix.set_blocking(0, False)
        step = 1000 if process["forks"] == "nothing" and not process["reads"] else 0.02
        while (left := end - time.monotonic()) > 0:
            info = _signal.sigtimedwait(watched, min(left, step))
            if info and info.si_signo in STOP:
                until = time.monotonic() + process["lingers"]
                while info:
                    count(process, info.si_signo, info.si_pid)
                    info = _signal.sigtimedwait(STOP, max(0, until - time.monotonic()))
                obeyed(process)
            if process["reads"] and is_at_end():
                return
            if process["waits"]:
                reap()
            if process["forks"] == "itself":
                if posix.fork():
                    posix._exit(0)
                process["pid"] = posix.getpid()
            elif process["forks"] != "nothing" and posix.fork() == 0:
                if process["forks"] == "children" or posix.fork() == 0:
                    time.sleep(0.01)
                posix._exit(0)

    def is_at_end():
        try:
            while posix.read(0, 512):
                pass
            return True
        except BlockingIOError:
            return False

    def reap():
        try:
            while posix.waitpid(-1, posix.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    OBEYED, POLITE, workload = eval(sys.argv[1])
    for number in (_signal.SIGHUP, _signal.SIGUSR1, _signal.SIGWINCH):
        _signal.signal(number, _signal.SIG_IGN)
    workload.update(pid=posix.getpid(), pids=[], outputs=[], is_asked=False)
    # What comes before it has stopped must not end it.
    react(workload, "block" if workload["stops"] else workload["reaction"])
    if workload["patient"]:
        start_children(workload)
        posix.close(WRITER)
        posix.read(READER, 1)
    say(f"begun {time.monotonic()} {posix.getppid()}")
    if not workload["patient"]:
        start_children(workload)
        posix.close(WRITER)
    live(workload)
    if workload["status"] >= 0:
        posix._exit(workload["status"])
    number = -workload["status"]
    if number != _signal.SIGKILL:
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [number])
    posix.kill(posix.getpid(), number)
"""
"""The workload that becomes a tree. It says ``begun``, the time, and pyinit's pid. The others say ``+NUMBER`` if they
promise to end in an orderly way, then ``~NUMBER`` at a signal or ``-NUMBER`` if they end by themselves, and
``!NUMBER:PID:SENDER`` for each SIGTERM that they get. SENDER is ``?`` if they have a handler."""

STRANGERS = """if True:
    import _signal, posix, sys, time

    everything = _signal.valid_signals()
    # All signals are blocked: those that a process got are pending at the end.
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, everything)
    reader, writer = posix.pipe()

    def be_idle():
        posix.close(writer)
        sleep()

    def be_busy():
        posix.close(writer)
        while True:
            if posix.fork() == 0:
                time.sleep(0.001)
                posix._exit(0)
            posix.wait()
            time.sleep(0.005)

    def be_session():
        posix.setsid()
        posix.fork()
        be_idle()

    def be_stopped():
        posix.close(writer)
        posix.kill(posix.getpid(), _signal.SIGSTOP)

    def leave_orphan():
        if posix.fork():
            posix._exit(0)
        be_idle()

    def listen():
        while command := posix.read(0, 1):
            try:
                posix.kill(pyinit, ord(command))
            except ProcessLookupError:
                pass
        sleep()

    def sleep():
        while True:
            time.sleep(1000)

    def start(life):
        pid = posix.fork()
        if pid == 0:
            try:
                life()
            except BaseException:
                sys.excepthook(*sys.exc_info())
            posix._exit(99)
        return pid

    def see():
        'Every process but this one and those of the busy one: pid, (state, parent, flags, name).'
        seen = {}
        for entry in posix.listdir("/proc"):
            if entry.isdigit() and entry != "1":
                try:
                    text = open(f"/proc/{entry}/stat", "rb").read().decode("utf-8", "surrogateescape")
                except OSError:
                    continue
                name, _, rest = text.partition("(")[2].rpartition(") ")
                rest = rest.split()
                if int(rest[1]) not in (0, busy):  # 0: it has just been reaped
                    seen[int(entry)] = rest[0], int(rest[1]), int(rest[6]), name
        return seen

    def got(pid):
        'The signals that the process has got, as bits.'
        try:
            lines = open(f"/proc/{pid}/status", "rb").read().splitlines()
        except OSError:
            return 0
        pending = [int(line[7:], 16) for line in lines if line[:7] in (b"SigPnd:", b"ShdPnd:")]
        return pending[0] | pending[1]

    def is_dying(pid, state, flags):
        return state in "ZX" or flags & 4 or got(pid) & 1 << 8  # PF_EXITING; SIGKILL is pending

    start(be_idle)
    start(be_session)
    busy = start(be_busy)
    stopped = start(be_stopped)
    posix.waitid(posix.P_PID, stopped, posix.WSTOPPED)
    posix.waitpid(start(leave_orphan), 0)
    posix.close(writer)
    posix.read(reader, 1)
    posix.close(reader)
    strangers = set(see())

    pyinit = posix.fork()
    if pyinit == 0:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
        fd = posix.open("/dev/null", posix.O_RDWR)
        posix.dup2(fd, 0)
        posix.close(fd)
        posix.execv(sys.argv[1], sys.argv[1:])
    strangers.add(start(listen))

    _, status = posix.waitpid(pyinit, 0)
    seen = see()
    left = [(pid, *seen[pid]) for pid in seen if pid not in strangers and not is_dying(pid, seen[pid][0], seen[pid][2])]
    harmed = []
    for pid in (1, *strangers):
        state = seen[pid][0] if pid in seen else "S" if pid == 1 else "gone"
        if state not in ("T" if pid == stopped else "RSD") or got(pid) & ~(1 << 16):  # SIGCHLD is their own doing
            harmed.append((pid, state, hex(got(pid))))
    posix.write(1, f"\\nreport {(posix.waitstatus_to_exitcode(status), left, harmed)}\\n".encode())
"""
"""PID 1 of a namespace in which pyinit is an ordinary process: it starts strangers and then pyinit, has signals sent to
pyinit (each byte on standard input is a number), and reports survivors and strangers that got a signal."""


def describe(plan: Plan) -> str:
    """The tree as text, for `TREE`."""
    count = 0

    def number(process: Process, parent: Process) -> dict[str, object]:
        nonlocal count
        count += 1
        mine = {"number": count, "name": f"{count}) Z 0 (\n" if plan.odd_names else f"n{count}"}
        mine["promises"] = plan.promises(process, parent)
        return {**asdict(process), "children": [number(child, process) for child in process.children], **mine}

    return repr((OBEYED, plan.polite, number(plan.workload, plan.workload)))


Send = Callable[[int], None]
Connect = Callable[[Container], AbstractContextManager[Send]]


@dataclass
class Run:
    """The observations about a run."""

    plan: Plan
    command: Sequence[str]
    lines: list[str] = field(default_factory=list)
    err: str = ""
    status: int | None = None
    seconds: float = 0.0
    """From the beginning of the workload to the end."""
    pyinit: str = ""
    """Its pid in the namespace."""
    picture: str = ""
    """The processes that were left when it should have ended."""

    def require(self, condition: object, what: str) -> None:
        """Fail with all observations unless `condition` holds."""
        names = {TREE: "TREE", STRANGERS: "STRANGERS"}
        facts = [
            f"not so: {what}",
            f"command: {shlex.join(names.get(word, word) for word in self.command)}",
            f"expected: status {self.plan.statuses}, {self.plan.earliest:.1f} to {self.plan.latest:.1f} s",
            f"seen: status {self.status}, {self.seconds:.2f} s",
            f"stdout: {' '.join(self.lines)}",
            f"stderr:\n{self.err}",
            f"left:\n{self.picture}",
        ]
        assert condition, "\n".join(facts)


def play(plan: Plan, command: Sequence[str], connect: Connect) -> Run:
    """Run the command, send it the signals of the plan, and wait for its end."""
    run = Run(plan, command)
    with tempfile.TemporaryFile() as err:
        container = Container([*IN_TIME, *UNSHARE, *command], stdin=subprocess.PIPE, stderr=err, bufsize=0)
        begun = None
        try:
            while begun is None and is_readable(container, SLACK) and (line := container.line()):
                run.lines.append(line)
                if line.startswith("begun "):
                    _, when, run.pyinit = line.split()
                    begun = float(when)
            if begun is not None:
                with connect(container) as send:
                    for gap, number in plan.signals:
                        time.sleep(gap)
                        send(number)
                container.process.wait(begun + plan.latest - time.monotonic())
                run.status = container.process.returncode
                run.seconds = time.monotonic() - begun
        except subprocess.TimeoutExpired:
            run.picture = take_picture(container)
        finally:
            container.process.kill()  # --kill-child takes PID 1, and the kernel all others, with it
            out, _ = container.process.communicate()
            run.lines += out.decode().split("\n")
            err.seek(0)
            run.err = err.read().decode(errors="replace")
    run.require(begun is not None, "the workload begins")
    return run


def is_readable(container: Container, seconds: float) -> bool:
    """Is there something to read within some seconds?"""
    assert container.process.stdout is not None
    return bool(select.select([container.process.stdout], [], [], seconds)[0])


def take_picture(container: Container) -> str:
    """The processes, a line each. It looks several times, because some get a new pid all the time."""
    lines = []
    for _ in range(5):
        family = {container.process.pid}
        for path in sorted(Path("/proc").glob("[1-9]*/stat"), key=lambda path: int(path.parent.name)):
            with contextlib.suppress(OSError):
                start, _, rest = path.read_text(errors="replace").rpartition(") ")
                state, parent = rest.split()[:2]
                if int(parent) in family:
                    family.add(int(path.parent.name))
                    lines.append(f"{start!r}) of {parent}, {state}")
    return "\n".join(dict.fromkeys(lines))


@contextlib.contextmanager
def connect_to_pid_1(container: Container) -> Iterator[Send]:
    """Signal PID 1 from outside, by a pidfd: its pid may belong to another process after its end."""
    with contextlib.ExitStack() as handles:

        def send(number: int) -> None:
            with contextlib.suppress(ProcessLookupError):
                if handle is not None:
                    signal.pidfd_send_signal(handle, number)

        handle = None
        for child in psutil.Process(container.process.pid).children():
            with contextlib.suppress(ProcessLookupError):
                opened = os.pidfd_open(child.pid)
                handles.callback(os.close, opened)
                handle = opened if child.is_running() else None
        yield send


@contextlib.contextmanager
def connect_to_listener(container: Container) -> Iterator[Send]:
    """Signal a pyinit that is not PID 1, through a stranger beside it."""

    def send(number: int) -> None:
        assert container.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            container.process.stdin.write(bytes((number,)))

    yield send


def requests(run: Run) -> Counter[tuple[int, str]]:
    """How often pyinit has sent SIGTERM to each process that notes it, by number and pid, without the workload."""
    lineage = run.plan.workload.lineage
    counted: Counter[tuple[int, str]] = Counter()
    for line in run.lines:
        if line[:1] != "!":
            continue
        number, pid, sender = line[1:].split(":")
        if number == "1":
            continue
        process, parent = lineage[int(number) - 2]
        is_from_parent = sender == "?" and parent.reaction == "hand-on"
        # A process that is forked just when the group is signalled may be asked again.
        is_born_late = process.forks == "itself" and run.plan.forward_to != "child"
        if sender in ("?", run.pyinit) and not is_from_parent and not is_born_late:
            counted[int(number), pid] += 1
    return counted


def check(run: Run) -> None:
    """Check what holds for every run."""
    plan = run.plan
    run.require(run.status is not None, f"ends within {plan.latest:.1f} s")
    run.require(run.status in plan.statuses, "the right status")
    run.require(run.seconds >= plan.earliest, f"takes its time, {plan.earliest:.1f} s at least")
    if run.status == 128 + signal.SIGKILL and plan.workload.status != -signal.SIGKILL:
        least = (plan.stopped_after or 0.0) + (plan.stop_timeout or 0.0)
        run.require(run.seconds >= least, f"kills the workload after the stop timeout, {least:.1f} s")
    run.require("Traceback" not in run.err, "no traceback")
    run.require("carrying on" not in run.err, "no internal error")
    if plan.polite:
        promised = {line[1:] for line in run.lines if line[:1] == "+"}
        kept = {line[1:] for line in run.lines if line[:1] in ("-", "~")}
        run.require(promised <= kept, f"{sorted(promised - kept)} could have ended in an orderly way")
    if plan.stops_sent <= 1:
        twice = {asked: times for asked, times in requests(run).items() if times > 1}
        run.require(not twice, f"pyinit sends SIGTERM once to each: {twice}")
    if plan.is_left_in_peace:
        run.require(not any(line[:1] == "~" for line in run.lines), "no process gets a signal")


@pytest.mark.slow
@needs_pidfd
@on_many_trees
@given(plan=plans())
def test_any_tree_comes_to_an_orderly_end(launcher: str, plan: Plan) -> None:
    """As PID 1: in time, with the right status. Processes that can end by themselves do, and others are killed."""
    check(play(plan, [launcher, *plan.options, "--", *python(TREE, describe(plan))], connect_to_pid_1))


@pytest.mark.slow
@needs_pidfd
@on_many_trees
@given(plan=plans())
def test_any_tree_comes_to_an_orderly_end_and_strangers_notice_nothing(launcher: str, plan: Plan) -> None:
    """As a subreaper: the same. Nothing of the tree survives, and no other process gets a signal."""
    command = [*python(STRANGERS), launcher, *plan.options, "--", *python(TREE, describe(plan))]
    run = play(plan, command, connect_to_listener)
    run.require(run.status in (0, None), "the namespace's PID 1 itself does not fail")
    if run.status is not None:
        reports = [line for line in run.lines if line.startswith("report ")]
        run.status, left, harmed = ast.literal_eval(reports[0].removeprefix("report "))
        run.require(not left, f"nothing survives: {left}")
        run.require(not harmed, f"no stranger gets a signal: {harmed}")
    check(run)
