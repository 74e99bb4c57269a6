"""``pyinitctl clear``: the two cures for zombies whose parents are alive and do not wait for them.

A parent that missed a SIGCHLD may wait when it gets another one. A parent that ends leaves its zombies to the init.
"""

import argparse
import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pyinit.ctl import arguments, picture, published
from pyinit.ctl.failure import CannotLook
from pyinit.ctl.picture import Kind, Picture
from pyinit.kernel import procfs, signals
from pyinit.reporting import humanize, zombies

_MOMENT = 1.0
"""Seconds for a parent to wait after SIGCHLD, and for the init to reap what it inherits; a fraction should do."""

_PATIENCE = 5.0
"""Seconds for a parent to end after SIGTERM."""

_POLL = 0.02

_PYINIT = "pyinit"


@dataclass(frozen=True)
class _Waiter:
    """A parent or tracer that has not waited for its zombies."""

    process: procfs.Process
    name: str
    zombies: list[procfs.Process]

    def __str__(self) -> str:
        return f"{self.name} (pid {self.process.pid})"

    @property
    def its_zombies(self) -> str:
        """An object for a sentence whose subject is this process."""
        return f"its {len(self.zombies)} zombies" if len(self.zombies) > 1 else "its zombie"


def add_to(commands: arguments.Commands) -> None:
    """Add this command to the command line."""
    parser = arguments.add_command(
        commands,
        "clear",
        run,
        "ask parents to wait for their zombies, or end those parents",
        "Send SIGCHLD to each parent (or tracer) that has not waited for its zombies, and check whether it does now. "
        "With --terminate-parent, end those that do not, so that the init inherits the zombies and reaps them. "
        "This ends the workload only if --pid names it, and never PID 1.",
        "docker exec app pyinitctl clear --terminate-parent",
        "0 if no zombies are left, 1 if some are, 3 if that cannot be seen",
    )
    arguments.add_pid(
        parser, "look only at this process and its descendants; it may be ended even if it is the workload"
    )
    parser.add_argument(
        "--terminate-parent", action="store_true", help="end (SIGTERM) each parent that still does not wait"
    )
    parser.add_argument("--dry-run", action="store_true", help="only print what would be done")


def run(settings: argparse.Namespace) -> int:
    """Try the cures and print what each did; 1 if zombies are left."""
    seen = picture.take(settings.pid)
    picture.warn_if_hidden()
    if not seen.waiting:
        print("no zombies")
        return 0
    waiters = _waiters(seen)
    if settings.dry_run:
        for one in waiters:
            _print_plan(one, settings)
        return _conclude(seen, waiters)
    known = [zombie.process for zombie in seen.waiting]
    asked = [one for one in waiters if _send("ask", one, signals.CHLD)]
    _wait(known, _MOMENT)
    left = [one for one in asked if not _has_waited(one, settings)]
    stopped = [one for one in left if _is_stopped(one) and settings.terminate_parent and not _spared(one, settings.pid)]
    if stopped:  # these could not react to SIGCHLD: do not end them before they could
        for one in stopped:
            print(f"continuing {one}, which was stopped")
            _send("continue", one, signals.CONT)
        _wait(known, _MOMENT)
        left = [one for one in left if one not in stopped or not _has_waited(one, settings)]
    ending = [one for one in left if _terminate(one, settings)]
    if ending:
        parents = [one.process for one in ending]
        _wait(parents, _PATIENCE)
        for one in ending:
            _print_end(one)
        # A parent that has ended is a zombie itself until its own parent waits.
        known += [now for one in parents if (now := procfs.process(one.pid)) and now.identity == one.identity]
        _wait(known, _MOMENT)
    return _conclude(_left(known, settings.pid), waiters)


def _waiters(seen: Picture) -> list[_Waiter]:
    """The processes to ask, each once even if it is a parent and a tracer."""
    found: dict[tuple[int, int], _Waiter] = {}
    for verdict in seen.verdicts:
        process = verdict.neglect.waiter
        if process and verdict.kind in (Kind.UNREAPED, Kind.TRACED):
            one = found.setdefault(process.identity, _Waiter(process, verdict.name, []))
            one.zombies.extend(verdict.neglect.zombies)
    return list(found.values())


def _left(known: list[procfs.Process], root: int | None) -> Picture:
    """The zombies that exist now: all, or those below `root` and the `known` ones, which the init may have by now."""
    try:
        seen = picture.take(None)
    except CannotLook:  # no zombie is visible, and other users' processes are hidden
        return Picture([], [])
    if root is None:
        return seen
    with contextlib.suppress(CannotLook):  # `root` has ended
        known = known + picture.processes(root)
    ours = {one.identity for one in known}
    return Picture(
        [zombie for zombie in seen.zombies if zombie.process.identity in ours],
        [verdict for verdict in seen.verdicts if any(one.identity in ours for one in verdict.neglect.zombies)],
    )


def _conclude(seen: Picture, reported: list[_Waiter]) -> int:
    """Print how many zombies are left, and the verdict on each process that was not `reported`; the exit status."""
    known = {one.process.identity for one in reported}
    for verdict in seen.verdicts:
        if not verdict.neglect.waiter or verdict.neglect.waiter.identity not in known:
            print(verdict.text)
    left = len(seen.waiting)
    print(f"{humanize.count(left, 'zombie')} left" if left else "no zombies left")
    return 1 if left else 0


def _print_plan(one: _Waiter, settings: argparse.Namespace) -> None:
    print(f"would ask {one} (SIGCHLD) to wait for {one.its_zombies}")
    if spared := _spared(one, settings.pid):
        print(spared)
    elif settings.terminate_parent:
        first = "continue (SIGCONT), and then " if _is_stopped(one) else ""
        print(f"would {first}end (SIGTERM) {one} if it does not")


def _send(verb: str, one: _Waiter, *numbers: int) -> bool:
    """Whether the process was signalled or had exited; otherwise print why it could not be."""
    try:
        for number in numbers:
            procfs.send(one.process, number)
    except ProcessLookupError:
        pass
    except OSError as error:
        print(f"cannot {verb} {one}: {error.strerror}")
        return False
    return True


def _has_waited(one: _Waiter, settings: argparse.Namespace) -> bool:
    """Check whether a process that was asked has waited for all its zombies, and print that."""
    if _has_changed(one.process):
        print(f"{one} has ended meanwhile")
        return True
    neglects: dict[tuple[int, bool], zombies.Neglect] = {}
    for zombie in one.zombies:
        if not _has_changed(zombie):
            zombies.add(neglects, zombie)
    left = sum(len(neglect.zombies) for neglect in neglects.values() if neglect.pid == one.process.pid)
    waited = len(one.zombies) - left
    part = f"{waited} of {one.its_zombies}" if left and waited else one.its_zombies
    text = f"asked {one}: it has {'' if waited else 'not '}waited for {part}"
    if left:
        text += f": {_reason(one)}"
        if not settings.terminate_parent and not _spared(one, settings.pid):
            text += "; --terminate-parent would end it"
    print(text)
    return not left


def _reason(one: _Waiter) -> str:
    """Why a process may not have waited."""
    if _is_stopped(one):
        return f"it is stopped (kill -CONT {one.process.pid} continues it)"
    catches = _is_in(one, b"SigCgt", signals.CHLD)
    return "it catches SIGCHLD, and still does not wait" if catches else "it does not catch SIGCHLD"


def _is_stopped(one: _Waiter) -> bool:
    now = procfs.process(one.process.pid)
    return now is not None and now.is_stopped


def _terminate(one: _Waiter, settings: argparse.Namespace) -> bool:
    """Whether SIGTERM was sent, if that is asked for and allowed; print what was done or why not."""
    if spared := _spared(one, settings.pid):
        print(spared)
        return False
    if not settings.terminate_parent:
        return False
    # Flush before: the end of the workload is the end of this process, too.
    print(f"ending {one} to get {one.its_zombies} reaped", flush=True)
    return _send("end", one, signals.TERM, signals.CONT)


def _print_end(one: _Waiter) -> None:
    if _has_changed(one.process):
        print(f"{one} has ended")
    else:
        why = ": it ignores SIGTERM" if _is_in(one, b"SigIgn", signals.TERM) else ""
        print(f"{one} has not ended within {_PATIENCE:.0f} s{why} (kill -KILL {one.process.pid} would end it)")


def _spared(one: _Waiter, named: int | None) -> str:
    """A sentence on why a process must not be ended; empty if it may be."""
    process = one.process
    if procfs.is_pid_1(process.pid) and not _is_pyinit(process):
        return f"{one} is left alone: it is PID 1 of its container"
    if reason := _looks_like_workload(process):
        hint = f"name it with --pid {process.pid} to end it, and the container with it"
        return "" if named == process.pid else f"{one} {reason}: {hint}"
    if _is_pyinit(process):
        return f"{one} is left alone: it is an init"
    return f"{one} is left alone: it started this pyinitctl" if process.pid in _own_line() else ""


def _looks_like_workload(process: procfs.Process) -> str:
    """A predicate that says that the process is, or may be, the workload of its parent; empty if it cannot be."""
    if not process.parent:
        return ""
    init = procfs.process(process.parent)
    try:
        counters = published.read(process.parent)
    except CannotLook as error:
        if init and procfs.is_pid_1(init.pid) and init.name in picture.INITS - {_PYINIT}:
            return f"may be the workload of {init.name} (pid {init.pid})"
        may_be = not init or init.name == _PYINIT or (procfs.is_pid_1(init.pid) and not _may_inspect(init))
        return f"may be the workload ({error})" if may_be else ""
    if counters.stage == "staying":
        return "may be the process that pyinit waits for, now that the workload has ended"
    return "is the workload" if counters.find_workload(process.parent, [process]) else ""


def _is_pyinit(process: procfs.Process) -> bool:
    try:
        return process.name == _PYINIT or bool(published.read(process.pid))
    except CannotLook:
        return False


def _may_inspect(process: procfs.Process) -> bool:
    """Whether we have the rights that reading the counters of a process takes (ptrace(2))."""
    try:
        os.readlink(f"/proc/{process.pid}/cwd")
    except PermissionError:
        return False
    except OSError:
        pass
    return True


def _own_line() -> Iterator[int]:
    """The pids of this process, of its parent and so on."""
    pid = os.getpid()
    while pid and (process := procfs.process(pid)):
        yield pid
        pid = process.parent


def _is_in(one: _Waiter, field: bytes, number: int) -> bool:
    """Whether a signal is in a set of signals of proc_pid_status(5)."""
    mask = procfs.field(procfs.read(f"/proc/{one.process.pid}/status") or b"", field)
    return bool(int(mask or b"0", 16) >> (number - 1) & 1)


def _wait(processes: Iterable[procfs.Process], seconds: float) -> None:
    """Wait until each live process has ended and each zombie has been reaped, but not longer than `seconds`."""
    left = list(processes)
    until = time.monotonic() + seconds
    while left and time.monotonic() < until:
        if _has_changed(left[-1]):
            left.pop()
        else:
            time.sleep(_POLL)


def _has_changed(process: procfs.Process) -> bool:
    """Whether a live process has ended, or a zombie has been reaped."""
    now = procfs.process(process.pid)
    return now is None or now.identity != process.identity or now.is_dead != process.is_dead
