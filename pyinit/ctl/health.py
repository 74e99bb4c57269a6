"""``pyinitctl health``: one line, for HEALTHCHECK."""

import argparse
import os
import sys

from pyinit.ctl import arguments, picture, published
from pyinit.ctl.commands import name_of
from pyinit.ctl.failure import CannotLook
from pyinit.ctl.picture import Kind, Picture
from pyinit.ctl.published import Counters
from pyinit.kernel import procfs
from pyinit.reporting import humanize
from pyinit.reporting.log import printable, reason


class Unhealthy(Exception):
    """The text says why."""


def add_to(commands: arguments.Commands) -> None:
    """Add this command to the command line."""
    parser = arguments.add_command(
        commands,
        "health",
        run,
        "exit with 0 or 1 and say why in one line, for HEALTHCHECK",
        "Report in one line whether pyinit and the workload are alive, not stopped and not shutting down, and which "
        "zombies there are.",
        'HEALTHCHECK CMD ["pyinitctl", "health", "--max-zombies=100"]',
        "0 if healthy; 1 if not, or if that cannot be seen",
    )
    arguments.add_pid(parser, "the pyinit to check, with its descendants (default: that of this container)")
    parser.add_argument("--max-zombies", type=arguments.number, metavar="N", help="unhealthy above N zombies")
    parser.add_argument(
        "--max-age",
        type=arguments.seconds,
        metavar="SECONDS",
        help="unhealthy if a process has been a zombie for longer; if the kernel does not report when it ended "
        "(/proc/PID/sched), the time since its start counts",
    )


def run(settings: argparse.Namespace) -> int:
    """Print the line; 1 if it says unhealthy."""
    status = 0
    try:
        pid = settings.pid or published.pid_of_init()
        alive = _alive(published.read(pid), pid)
        root = settings.pid or (pid if pid != 1 else None)
        line = f"healthy: {alive}{_zombies(picture.take(root, name_of), settings.max_zombies, settings.max_age)}"
    except (Unhealthy, CannotLook, OSError) as error:
        status, line = 1, f"unhealthy: {reason(error) if isinstance(error, OSError) else error}"
    try:
        os.write(sys.stdout.fileno(), f"{printable(line)}\n".encode())
    except OSError:
        return 1
    return status


def _alive(counters: Counters, pid: int) -> str:
    """A clause on what runs.

    Raises:
        Unhealthy: pyinit or the workload does not run.
    """
    init = procfs.process(pid)
    if init is None or init.is_dead:
        raise Unhealthy(f"pyinit (pid {pid}) has ended")
    if init.is_stopped:
        raise Unhealthy(f"pyinit (pid {pid}) is stopped")
    if counters.stage not in ("running", "staying"):
        raise Unhealthy(f"pyinit is shutting down ({counters.stage})")
    since = humanize.duration(counters.seconds)
    if counters.is_pause:
        return f"pausing for {since}"
    if counters.stage == "staying":
        return f"{counters.workload_name} has ended, and pyinit stays until the last process has ended"
    workload = counters.find_workload(pid, procfs.processes())
    if workload is None and procfs.pids(pid)[-1:] == [counters.pid]:  # otherwise a sandbox may have other pids
        raise Unhealthy(f"{counters.workload_name} has ended or is not visible")
    if workload and workload.is_dead:
        raise Unhealthy(f"{counters.workload_name} has ended")
    if workload and workload.is_stopped:
        raise Unhealthy(f"{counters.workload_name} is stopped")
    return f"{counters.workload_name} has been running for {since}"


def _zombies(seen: Picture, most: int | None, longest: float | None) -> str:
    """A clause on the zombies.

    Raises:
        Unhealthy: there are too many, or one is too old.
    """
    waiting = seen.waiting
    if not waiting:
        return ""
    verdicts = [verdict for verdict in seen.verdicts if verdict.kind != Kind.REAPING]
    count = humanize.count(len(waiting), "zombie")
    if most is not None and len(waiting) > most:
        raise Unhealthy(f"{count}: {verdicts[0].text}")
    old = [zombie for zombie in waiting if longest is not None and zombie.age.seconds > longest]
    for verdict in verdicts:
        if old and old[0].process in verdict.neglect.zombies:
            raise Unhealthy(f"{count}, {len(old)} of them too old: {verdict.text}")
    return f"; {count}: {verdicts[0].text}"
