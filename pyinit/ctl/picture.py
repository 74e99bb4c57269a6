"""The zombies that there are, each with its age and a verdict: the common part of `zombies`, `clear` and `health`.

One look is not enough: even with the best parent a process is a zombie for a moment. What is no longer a zombie at a
second look was about to be reaped.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from pyinit.ctl.ages import Age, ages, oldest
from pyinit.ctl.commands import command_of
from pyinit.ctl.failure import CannotLook, check_proc, warn
from pyinit.kernel import procfs
from pyinit.reporting import humanize, zombies

HIDDEN = "/proc hides the processes of other users (hidepid): root sees all"

_FIRST_NAMESPACE = 0xEFFFFFFC
"""The inode of the first PID namespace (``PROC_PID_INIT_INO`` of the kernel)."""

MOMENT = 0.15
"""Seconds between the two looks. A parent that waits in a handler or in a loop needs a fraction of that."""

_PATIENCE = Age(5.0, is_exact=False)
"""An init that has not reaped a zombie for this long does not reap."""

INITS = {
    "pyinit", "tini", "tini-static", "docker-init", "dumb-init", "catatonit", "podman-init", "systemd", "init",
    "s6-svscan", "runit",
}  # fmt: skip
"""The names of programs that reap the orphans that they get."""


class Kind(StrEnum):
    """Why /proc shows a process as a zombie."""

    UNREAPED = "unreaped"
    """Its parent is alive and has not waited for it."""
    TRACED = "traced"
    """Its tracer is alive and has not waited for it; the parent cannot wait before."""
    REAPING = "reaping"
    """It is about to be reaped, or was reaped between the two looks."""
    THREADS = "threads"
    """It is not a zombie: only its main thread has ended."""


@dataclass(frozen=True)
class Zombie:
    """A process that /proc shows as a zombie."""

    process: procfs.Process
    kind: Kind
    age: Age


@dataclass(frozen=True)
class Verdict:
    """Zombies that one process should have waited for."""

    kind: Kind
    neglect: zombies.Neglect
    name: str
    """The name or command line of that process."""
    oldest: Age
    text: str


@dataclass(frozen=True)
class Picture:
    """The zombies that were found."""

    zombies: list[Zombie]
    """The oldest first."""
    verdicts: list[Verdict]
    """The one with the most zombies first."""

    @property
    def waiting(self) -> list[Zombie]:
        """The zombies that some process should wait for and has not."""
        return [zombie for zombie in self.zombies if zombie.kind in (Kind.UNREAPED, Kind.TRACED)]


def processes(root: int | None) -> list[procfs.Process]:
    """All visible processes, or `root` and its descendants.

    Raises:
        CannotLook: /proc is not that of this PID namespace, or `root` does not exist.
    """
    check_proc()
    if root is None:
        return list(procfs.processes())
    top = procfs.process(root)
    if top is None:
        raise CannotLook(f"no process with pid {root} is visible" + (f": {HIDDEN}" if hides_others() else ""))
    return [top, *procfs.descendants(root)]


def has_outside() -> bool:
    """Whether there may be processes outside of our PID namespace."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino != _FIRST_NAMESPACE
    except OSError:
        return True


def warn_if_inside() -> None:
    """Say on standard error if there may be processes outside of our PID namespace."""
    if has_outside():
        warn("this is not the PID namespace of a host: other containers are not visible")


def warn_if_hidden() -> None:
    """Say on standard error if not all processes are visible."""
    if hides_others():
        warn(HIDDEN)


def hides_others() -> bool:
    """Whether /proc shows this user only its own processes (``hidepid``, proc(5)): PID 1 always exists."""
    return procfs.process(1) is None


def _zombies(root: int | None, listed: Iterable[procfs.Process] | None) -> dict[procfs.Process, float]:
    """The zombies among `processes`, in the order of their start, and when each was seen."""
    if root is None and listed is None:
        check_proc()
        found = {one: time.monotonic() for one in zombies.search() if one}
    else:
        found = {one: time.monotonic() for one in listed or processes(root) if one.state == "Z"}
    return dict(sorted(found.items(), key=lambda one: one[0].started))


def take(
    root: int | None,
    name_of: Callable[[procfs.Process], str] = command_of,
    listed: Iterable[procfs.Process] | None = None,
) -> Picture:
    """Look twice; `name_of` returns the name of a parent for the verdict. `listed` is a first look.

    Raises:
        CannotLook: as `processes`.
    """
    seen = _zombies(root, listed)
    if not seen:
        if hides_others():
            raise CannotLook(f"no zombies among the visible processes; {HIDDEN}")
        return Picture([], [])
    with ages() as clock:
        age = clock.of_zombies(seen)
    neglects: dict[tuple[int, bool], zombies.Neglect] = {}
    reaped, threads = [], []
    for one, when in seen.items():
        if (rest := when + MOMENT - time.monotonic()) > 0:
            time.sleep(rest)
        now = one if one.is_dead else procfs.process(one.pid)  # its other threads may have been about to end
        if now and not now.is_dead:
            threads.append(Zombie(one, Kind.THREADS, age[one.pid]))
        elif zombies.add(neglects, one) is None:
            reaped.append(Zombie(one, Kind.REAPING, age[one.pid]))
    verdicts = [_judge(one, oldest(age[zombie.pid] for zombie in one.zombies), name_of) for one in neglects.values()]
    left = [(one, verdict.kind) for verdict in verdicts for one in verdict.neglect.zombies]
    found = [Zombie(one, kind, age[one.pid]) for one, kind in left]
    return Picture(
        sorted([*found, *threads, *reaped], key=lambda zombie: zombie.age.seconds, reverse=True),
        sorted(verdicts, key=lambda verdict: len(verdict.neglect.zombies), reverse=True),
    )


def _judge(neglect: zombies.Neglect, age: Age, name_of: Callable[[procfs.Process], str]) -> Verdict:
    waiter = neglect.waiter
    name = name_of(waiter) if waiter else zombies.OUTSIDE if not neglect.pid else "a process that is not visible"
    if waiter and waiter.name in INITS and not waiter.is_stopped and age < _PATIENCE:
        children = humanize.count(len(neglect.zombies), "child", "children")
        text = f"{name} (pid {waiter.pid}) is an init and about to reap {children}"
        return Verdict(Kind.REAPING, neglect, name, age, text)
    kind = Kind.TRACED if neglect.is_traced else Kind.UNREAPED
    return Verdict(kind, neglect, name, age, zombies.verdict(neglect, name, str(age)))
