"""The zombies that there are, each with its age and the verdict on it: what `zombies`, `clear` and `health` go by.

One look does not tell: who ends is a zombie for a moment, with the best of parents. So a second look follows, and who
has gone by then was about to be reaped.
"""

import itertools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from pyinit.ctl.ages import Age, ages
from pyinit.ctl.commands import command_of
from pyinit.ctl.failure import CannotLook
from pyinit.kernel import procfs
from pyinit.reporting import humanize as words
from pyinit.reporting import zombies

HIDDEN = "/proc hides the processes of other users (hidepid): root sees all"

_FIRST_NAMESPACE = 0xEFFFFFFC
"""The inode of the first PID namespace (``PROC_PID_INIT_INO`` of the kernel)."""

MOMENT = 0.15
"""Seconds between the two looks. A parent that waits in a handler or in a loop needs a fraction."""

_MOST_AGES = 1000
"""Of so many zombies, those who were started first, it is found out when they ended."""

_PATIENCE = Age(5.0, is_exact=False)
"""After which an init that has not reaped is none that is about to."""

INITS = {
    "pyinit", "tini", "tini-static", "docker-init", "dumb-init", "catatonit", "systemd", "init", "s6-svscan", "runit",
}  # fmt: skip
"""The names of programs that reap whatever they are given."""


class Kind(StrEnum):
    """Why somebody is a zombie."""

    UNREAPED = "unreaped"
    """Its parent lives, and has not waited for it."""
    TRACED = "traced"
    """Its tracer lives, and has not waited for it; its parent cannot before."""
    REAPING = "reaping"
    """It is about to be reaped, or has been while we looked."""
    THREADS = "threads"
    """It is none: its main thread has ended, and others go on."""


@dataclass(frozen=True)
class Zombie:
    """Somebody whom /proc shows as a zombie."""

    process: procfs.Process
    kind: Kind
    age: Age


@dataclass(frozen=True)
class Verdict:
    """Zombies that one process should have waited for."""

    kind: Kind
    neglect: zombies.Neglect
    name: str
    """What that process is called."""
    oldest: Age
    text: str


@dataclass(frozen=True)
class Picture:
    """What was seen."""

    zombies: list[Zombie]
    """The oldest first."""
    verdicts: list[Verdict]
    """The most zombies first."""

    @property
    def waiting(self) -> list[Zombie]:
        """Those whom somebody should wait for, and has not."""
        return [zombie for zombie in self.zombies if zombie.kind in (Kind.UNREAPED, Kind.TRACED)]


def processes(root: int | None) -> list[procfs.Process]:
    """All that can be seen, or `root` and those below it.

    Raises:
        CannotLook: there is no /proc of this PID namespace, or no `root`.
    """
    _check()
    if root is None:
        return list(procfs.processes())
    top = procfs.process(root)
    if top is None:
        raise CannotLook(f"there is no pid {root} to be seen" + (f": {HIDDEN}" if hides_others() else ""))
    return [top, *procfs.descendants(root)]


def has_outside() -> bool:
    """Whether there may be processes outside of our PID namespace."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino != _FIRST_NAMESPACE
    except OSError:
        return True


def tell_if_hidden() -> None:
    """Say on standard error that not everybody is seen, where that is so."""
    if hides_others():
        print(f"pyinitctl: {HIDDEN}", file=sys.stderr)


def hides_others() -> bool:
    """Whether /proc shows this user their own processes only (``hidepid``, proc(5)): PID 1 is always there."""
    return procfs.process(1) is None


def _check() -> None:
    if not procfs.is_ours():
        raise CannotLook("/proc is not mounted, or is that of another PID namespace")


def _zombies(root: int | None) -> dict[procfs.Process, float]:
    """Those among `processes`, the one started first before the others, and when each was seen."""
    if root is None:
        _check()
        found = {one: time.monotonic() for one in zombies.search() if one}
    else:
        found = {one: time.monotonic() for one in processes(root) if one.state == "Z"}
    return dict(sorted(found.items(), key=lambda one: one[0].started))


def take(root: int | None, name_of: Callable[[procfs.Process], str] = command_of) -> Picture:
    """Look twice; `name_of` tells what a parent is called.

    Raises:
        CannotLook: as `processes`.
    """
    seen = _zombies(root)
    if not seen:
        if hides_others():
            raise CannotLook(f"no zombies among those that can be seen; {HIDDEN}")
        return Picture([], [])
    with ages() as clock:
        age = {one.pid: clock.since_end(one) for one in itertools.islice(seen, _MOST_AGES)}
        age |= {one.pid: Age(clock.since_start(one), is_exact=False) for one in seen if one.pid not in age}
    neglects: dict[tuple[int, bool], zombies.Neglect] = {}
    gone, threads = [], []
    for one, when in seen.items():
        if (rest := when + MOMENT - time.monotonic()) > 0:
            time.sleep(rest)
        now = one if one.is_dead else procfs.process(one.pid)  # its other threads may have been about to end
        if now and not now.is_dead:
            threads.append(Zombie(one, Kind.THREADS, age[one.pid]))
        elif zombies.add(neglects, one) is None:
            gone.append(Zombie(one, Kind.REAPING, age[one.pid]))
    verdicts = [_judge(one, [age[zombie.pid] for zombie in one.zombies], name_of) for one in neglects.values()]
    left = [(one, verdict.kind) for verdict in verdicts for one in verdict.neglect.zombies]
    found = [Zombie(one, kind, age[one.pid]) for one, kind in left]
    return Picture(
        sorted([*found, *threads, *gone], key=lambda zombie: zombie.age.seconds, reverse=True),
        sorted(verdicts, key=lambda verdict: len(verdict.neglect.zombies), reverse=True),
    )


def _judge(neglect: zombies.Neglect, ages: list[Age], name_of: Callable[[procfs.Process], str]) -> Verdict:
    # The oldest of those of whom more is known than when they were started, if there are any.
    oldest = max([age for age in ages if age.is_exact] or ages)
    waiter = neglect.waiter
    name = name_of(waiter) if waiter else zombies.OUTSIDE if not neglect.pid else "a process that cannot be seen"
    if waiter and waiter.name in INITS and waiter.state not in "Tt" and oldest < _PATIENCE:
        children = words.count(len(neglect.zombies), "child", "children")
        text = f"{name} (pid {waiter.pid}) is an init, and about to reap {children}"
        return Verdict(Kind.REAPING, neglect, name, oldest, text)
    kind = Kind.TRACED if neglect.is_traced else Kind.UNREAPED
    return Verdict(kind, neglect, name, oldest, zombies.verdict(neglect, name, str(oldest)))
