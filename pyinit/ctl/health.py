"""``pyinitctl health``: one line, for HEALTHCHECK."""

import argparse
import itertools
import os
import sys

from pyinit.ctl import arguments, counters, picture
from pyinit.ctl.commands import name_of
from pyinit.ctl.counters import Counters
from pyinit.ctl.failure import CannotLook
from pyinit.ctl.picture import Kind, Picture
from pyinit.kernel import procfs
from pyinit.reporting import humanize as words
from pyinit.reporting.log import printable


class Unhealthy(Exception):
    """The text says why."""


def add_to(commands: arguments.Commands) -> None:
    """Add this command to the command line."""
    parser = arguments.add_command(
        commands,
        "health",
        run,
        "exit with 0 or 1 and say why in one line, for HEALTHCHECK",
        "Tell in one line whether pyinit and the workload are there and neither stopped nor being shut down, "
        "and which zombies there are.",
        'HEALTHCHECK CMD ["pyinitctl", "health", "--max-zombies=100"]',
        "0 if healthy; 1 if not, or if that cannot be seen",
    )
    arguments.add_pid(parser, "the pyinit to look at (that of this container), and the processes below it")
    parser.add_argument("--max-zombies", type=arguments.number, metavar="N", help="more zombies are unhealthy")
    parser.add_argument(
        "--max-age",
        type=arguments.seconds,
        metavar="SECONDS",
        help="a zombie for longer is unhealthy; where the kernel does not tell (/proc/PID/sched) since when it is one, "
        "the time since its start counts",
    )


def run(chosen: argparse.Namespace) -> int:
    """Say how it is; 1 if it is not well."""
    status = 0
    try:
        pid = chosen.pid or counters.pid_of_init()
        what = _alive(counters.read(pid), pid)
        root = chosen.pid or (pid if pid != 1 else None)
        line = f"healthy: {what}{_zombies(picture.take(root, name_of), chosen.max_zombies, chosen.max_age)}"
    except (Unhealthy, CannotLook, OSError) as error:
        status, line = 1, f"unhealthy: {error}"
    try:
        os.write(sys.stdout.fileno(), f"{printable(line)}\n".encode())
    except OSError:
        return 1
    return status


def _alive(seen: Counters, pid: int) -> str:
    """What runs.

    Raises:
        Unhealthy: it does not.
    """
    init = procfs.process(pid)
    if init is None or init.is_dead:
        raise Unhealthy(f"pyinit (pid {pid}) has ended")
    if init.state in "Tt":
        raise Unhealthy(f"pyinit (pid {pid}) is stopped")
    if seen.stage not in ("running", "staying"):
        raise Unhealthy(f"pyinit is shutting down ({seen.stage})")
    since = words.duration(seen.seconds)
    if seen.is_pause:
        return f"pausing for {since}"
    who = f"{seen.name} (pid {seen.workload})"
    if seen.stage == "staying":
        return f"{who} has ended, and pyinit stays until the last process has"
    found = _workload(seen, pid)
    if found and found.is_dead:
        raise Unhealthy(f"{who} has ended")
    if found and found.state in "Tt":
        raise Unhealthy(f"{who} is stopped")
    return f"{who} has been running for {since}"


def _workload(seen: Counters, pid: int) -> procfs.Process | None:
    """The workload, which has another number here if pyinit is in another PID namespace; None if that is not known.

    Raises:
        Unhealthy: it is not there.
    """
    own = procfs.pids(pid)
    if own[-1:] != [seen.pid]:
        return None
    guess = procfs.process(seen.workload)
    for one in itertools.chain([guess] if guess else [], procfs.processes()):
        if one.parent == pid and procfs.pids(one.pid)[len(own) - 1 : len(own)] == [seen.workload]:
            return one
    raise Unhealthy(f"{seen.name} (pid {seen.workload}) has ended, or cannot be seen")


def _zombies(seen: Picture, most: int | None, longest: float | None) -> str:
    """What is to be said of zombies.

    Raises:
        Unhealthy: there are too many, or they are too old.
    """
    waiting = seen.waiting
    if not waiting:
        return ""
    verdicts = [verdict for verdict in seen.verdicts if verdict.kind != Kind.REAPING]
    count = words.count(len(waiting), "zombie")
    if most is not None and len(waiting) > most:
        raise Unhealthy(f"{count}: {verdicts[0].text}")
    old = [zombie for zombie in waiting if longest is not None and zombie.age.seconds > longest]
    for verdict in verdicts:
        if old and old[0].process in verdict.neglect.zombies:
            raise Unhealthy(f"{count}, {len(old)} of them too old: {verdict.text}")
    return f"; {count}: {verdicts[0].text}"
