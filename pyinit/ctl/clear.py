"""``pyinitctl clear``: the two cures for zombies whose parents live and do not wait.

A parent that missed a SIGCHLD may wait when it gets another; one that has ended leaves its zombies to the init.
"""

import argparse
import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pyinit.ctl import arguments, counters, picture
from pyinit.ctl.failure import CannotLook
from pyinit.ctl.picture import Kind, Picture
from pyinit.kernel import procfs, signals
from pyinit.reporting import humanize as words
from pyinit.reporting import zombies

_MOMENT = 1.0
"""Seconds that a parent has to wait once it is asked, and the init to reap what it inherits; a fraction should do."""

_PATIENCE = 5.0
"""Seconds that a parent has to end."""

_POLL = 0.02

_PYINIT = "pyinit"


@dataclass(frozen=True)
class _Waiter:
    """Who has not waited, a parent or a tracer, and for whom."""

    process: procfs.Process
    name: str
    zombies: list[procfs.Process]

    def __str__(self) -> str:
        return f"{self.name} (pid {self.process.pid})"

    @property
    def its(self) -> str:
        """Its zombies, in words."""
        return f"its {len(self.zombies)} zombies" if len(self.zombies) > 1 else "its zombie"


def add_to(commands: arguments.Commands) -> None:
    """Add this command to the command line."""
    parser = arguments.add_command(
        commands,
        "clear",
        run,
        "have the zombies waited for, or end their parents",
        "Send SIGCHLD to each parent (or tracer) that has not waited for its zombies, and see whether it does now. "
        "With --terminate-parent, end those that do not, so that the init inherits the zombies and reaps them. "
        "The workload is ended only if it is named with --pid, PID 1 never.",
        "docker exec app pyinitctl clear --terminate-parent",
        "0 if no zombies are left, 1 if some are, 3 if that cannot be seen",
    )
    arguments.add_pid(
        parser, "look at this process and those below it only; it may be ended even if it is the workload"
    )
    parser.add_argument("--terminate-parent", action="store_true", help="end (SIGTERM) who has still not waited")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def run(chosen: argparse.Namespace) -> int:
    """Try the cures, and tell what came of each; 1 if zombies are left."""
    seen = picture.take(chosen.pid)
    picture.tell_if_hidden()
    if not seen.waiting:
        print("no zombies")
        return 0
    waiters = _waiters(seen)
    if chosen.dry_run:
        for one in waiters:
            _foretell(one, chosen)
        return _conclude(seen, waiters)
    known = [zombie.process for zombie in seen.waiting]
    asked = [one for one in waiters if _send("ask", one, signals.CHLD)]
    _wait(known, _MOMENT)
    left = [one for one in asked if not _has_waited(one, chosen)]
    stopped = [one for one in left if _is_stopped(one) and chosen.terminate_parent and not _spared(one, chosen.pid)]
    if stopped:  # no end for who may just not have had the time
        for one in stopped:
            print(f"continuing {one}, which was stopped")
            _send("continue", one, signals.CONT)
        _wait(known, _MOMENT)
        left = [one for one in left if one not in stopped or not _has_waited(one, chosen)]
    ending = [one for one in left if _terminate(one, chosen)]
    if ending:
        parents = [one.process for one in ending]
        known += parents  # who ends becomes a zombie itself if its own parent does not wait
        _wait(parents, _PATIENCE)
        for one in ending:
            _tell_end(one)
        _wait(known, _MOMENT)
    return _conclude(_left(known, chosen.pid), waiters)


def _waiters(seen: Picture) -> list[_Waiter]:
    """Those that can be asked, each once, be it a parent, a tracer or both."""
    found: dict[tuple[int, int], _Waiter] = {}
    for verdict in seen.verdicts:
        process = verdict.neglect.waiter
        if process and verdict.kind in (Kind.UNREAPED, Kind.TRACED):
            one = found.setdefault(process.identity, _Waiter(process, verdict.name, []))
            one.zombies.extend(verdict.neglect.zombies)
    return list(found.values())


def _left(known: list[procfs.Process], root: int | None) -> Picture:
    """The zombies that are there now: below `root`, or known from there, since the init may have them by now."""
    try:
        seen = picture.take(None)
    except CannotLook:  # nobody else can be seen (hidepid), and those that we knew have gone
        return Picture([], [])
    if root is None:
        return seen
    with contextlib.suppress(CannotLook):  # it has ended
        known = known + picture.processes(root)
    ours = {one.identity for one in known}
    return Picture(
        [zombie for zombie in seen.zombies if zombie.process.identity in ours],
        [verdict for verdict in seen.verdicts if any(one.identity in ours for one in verdict.neglect.zombies)],
    )


def _conclude(seen: Picture, told: list[_Waiter]) -> int:
    """Tell how many are left, and whose they are where nothing has been said of those."""
    known = {one.process.identity for one in told}
    for verdict in seen.verdicts:
        if not verdict.neglect.waiter or verdict.neglect.waiter.identity not in known:
            print(verdict.text)
    left = len(seen.waiting)
    print(f"{words.count(left, 'zombie')} left" if left else "no zombies left")
    return 1 if left else 0


def _foretell(one: _Waiter, chosen: argparse.Namespace) -> None:
    print(f"would ask {one} (SIGCHLD) to wait for {one.its}")
    if spared := _spared(one, chosen.pid):
        print(spared)
    elif chosen.terminate_parent:
        first = "continue (SIGCONT), and then " if _is_stopped(one) else ""
        print(f"would {first}end (SIGTERM) {one} if it does not")


def _send(verb: str, one: _Waiter, *numbers: int) -> bool:
    """Whether a process could be signalled, or has gone; otherwise tell why not."""
    try:
        for number in numbers:
            procfs.send(one.process, number)
    except ProcessLookupError:
        pass
    except OSError as error:
        print(f"cannot {verb} {one}: {error.strerror}")
        return False
    return True


def _has_waited(one: _Waiter, chosen: argparse.Namespace) -> bool:
    """Look again whether one that was asked has waited for all, and tell."""
    if _has_changed(one.process):
        print(f"{one} has ended meanwhile")
        return True
    neglects: dict[tuple[int, bool], zombies.Neglect] = {}
    for zombie in one.zombies:
        if not _has_changed(zombie):
            zombies.add(neglects, zombie)
    left = sum(len(neglect.zombies) for neglect in neglects.values() if neglect.pid == one.process.pid)
    waited = len(one.zombies) - left
    part = f"{waited} of {one.its}" if waited < len(one.zombies) else one.its
    text = f"asked {one}: it has waited for {part}" if waited else f"asked {one}: it has not waited for {one.its}"
    if left:
        text += f": {_reason(one)}"
        if not chosen.terminate_parent and not _spared(one, chosen.pid):
            text += "; --terminate-parent would end it"
    print(text)
    return not left


def _reason(one: _Waiter) -> str:
    """Why somebody may not have waited."""
    if _is_stopped(one):
        return f"it is stopped (kill -CONT {one.process.pid} continues it)"
    catches = _is_in(one, b"SigCgt", signals.CHLD)
    return "it catches SIGCHLD, and still does not" if catches else "it does not catch SIGCHLD"


def _is_stopped(one: _Waiter) -> bool:
    now = procfs.process(one.process.pid)
    return now is not None and now.state in "Tt"


def _terminate(one: _Waiter, chosen: argparse.Namespace) -> bool:
    """End a process if that is asked for, and it may be; otherwise tell why not."""
    if spared := _spared(one, chosen.pid):
        print(spared)
        return False
    if not chosen.terminate_parent:
        return False
    # At once: if that is the workload, its end is ours, too.
    print(f"ending {one}, for {one.its}", flush=True)
    return _send("end", one, signals.TERM, signals.CONT)


def _tell_end(one: _Waiter) -> None:
    if _has_changed(one.process):
        print(f"{one} has ended")
    else:
        why = ": it ignores SIGTERM" if _is_in(one, b"SigIgn", signals.TERM) else ""
        print(f"{one} has not ended within {_PATIENCE:.0f} s{why} (kill -KILL {one.process.pid} would end it)")


def _spared(one: _Waiter, named: int | None) -> str:
    """Why a process is not to be ended, in a sentence; nothing if it may be."""
    process = one.process
    if _is_first(process) and not _is_pyinit(process):
        return f"{one} is left alone: it is PID 1 of its container"
    if reason := _looks_like_workload(process):
        hint = f"name it with --pid {process.pid} to end it, and the container with it"
        return "" if named == process.pid else f"{one} {reason}: {hint}"
    if _is_pyinit(process):
        return f"{one} is left alone: it is an init"
    return f"{one} is left alone: it has started this pyinitctl" if process.pid in _own_line() else ""


def _looks_like_workload(process: procfs.Process) -> str:
    """That it is the workload of the pyinit that is its parent, or may be, in words; nothing if it is not."""
    if not process.parent:
        return ""
    init = procfs.process(process.parent)
    try:
        told = counters.read(process.parent)
    except CannotLook as error:
        if init and _is_first(init) and init.name in picture.INITS - {_PYINIT}:
            return f"may be the workload, which {init.name} (pid {init.pid}) does not tell"
        may_be = not init or init.name == _PYINIT or (_is_first(init) and not _may_be_seen(init))
        return f"may be the workload ({error})" if may_be else ""
    if told.stage == "staying":
        return "may be what pyinit stays for, now that the workload has ended"
    return "is the workload" if init and told.workload == _pid_as_seen_by(init, process) else ""


def _is_first(process: procfs.Process) -> bool:
    """Whether it is PID 1, here or in a PID namespace below."""
    return process.pid == 1 or procfs.pids(process.pid)[-1:] == [1]


def _is_pyinit(process: procfs.Process) -> bool:
    try:
        return process.name == _PYINIT or bool(counters.read(process.pid))
    except CannotLook:
        return False


def _may_be_seen(process: procfs.Process) -> bool:
    """Whether we have the rights that it takes to read the counters of a process (ptrace(2))."""
    try:
        os.readlink(f"/proc/{process.pid}/cwd")
    except PermissionError:
        return False
    except OSError:
        pass
    return True


def _pid_as_seen_by(init: procfs.Process, child: procfs.Process) -> int:
    """The pid in the PID namespace of `init`, which may be below ours."""
    depth, pids = len(procfs.pids(init.pid)), procfs.pids(child.pid)
    return pids[depth - 1] if 0 < depth <= len(pids) else child.pid


def _own_line() -> Iterator[int]:
    """This process, its parent and so on."""
    pid = os.getpid()
    while pid and (process := procfs.process(pid)):
        yield pid
        pid = process.parent


def _is_in(one: _Waiter, field: bytes, number: int) -> bool:
    """Whether a signal is in one of the sets that proc_pid_status(5) has."""
    mask = procfs.field(procfs.read(f"/proc/{one.process.pid}/status") or b"", field)
    return bool(int(mask or b"0", 16) >> (number - 1) & 1)


def _wait(processes: Iterable[procfs.Process], seconds: float) -> None:
    """Wait until who lived has ended, and who was a zombie has gone; so many seconds at most."""
    left = list(processes)
    until = time.monotonic() + seconds
    while left and time.monotonic() < until:
        if _has_changed(left[-1]):
            left.pop()
        else:
            time.sleep(_POLL)


def _has_changed(process: procfs.Process) -> bool:
    """Whether one that lived has ended, or a zombie has gone."""
    now = procfs.process(process.pid)
    return now is None or now.identity != process.identity or now.is_dead != process.is_dead
