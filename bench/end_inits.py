"""The inits that `bench.ends` compares, each set up to run one program as in a container."""

import os
import signal
import subprocess
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from textwrap import dedent

from bench.contenders import PYINIT
from bench.equipment import PACKAGES, install_pyinit
from testing import Unavailable, packages
from testing.namespaces import INTERPRETER, UNSHARE

Command = Callable[[str, Path], list[str]]
"""Takes a program and a folder for files; returns the command that runs the program in a new PID namespace."""


@dataclass(frozen=True)
class Init:
    """An init, and the signal that stops a container under it."""

    name: str
    command: Command
    stop_signal: int = signal.SIGTERM


@contextmanager
def provided(wanted: Collection[str] = ()) -> Iterator[list[Init]]:
    """Yield the inits in `wanted`, or all of them; install missing peers. Raises Unavailable."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="pyinit-inits-"))).resolve()
        makers: dict[str, Callable[[], Init]] = {
            "none": lambda: Init("none", _in_front()),
            "tini": lambda: _packaged("tini"),
            "dumb-init": lambda: _packaged("dumb-init"),
            "s6-overlay": lambda: Init("s6-overlay", _s6_overlay(packages.provide("s6-svscan", "s6"))),
            "systemd-mixed": lambda: Init("systemd-mixed", _systemd(stack.enter_context(_cgroup()), "mixed"), HALT),
            "systemd-group": lambda: Init(
                "systemd-group", _systemd(stack.enter_context(_cgroup()), "control-group"), HALT
            ),
            PYINIT: lambda: Init(PYINIT, _in_front(*install_pyinit(folder, INTERPRETER).prefix)),
        }
        if unknown := set(wanted) - makers.keys():
            raise Unavailable(f"no such init: {', '.join(unknown)}; choose from {', '.join(makers)}")
        yield [make() for name, make in makers.items() if not wanted or name in wanted]


def _packaged(tool: str) -> Init:
    return Init(tool, _in_front(packages.provide(tool, PACKAGES[tool]), "--"))


def _in_front(*init: str) -> Command:
    return lambda program, folder: [*UNSHARE, *init, program]


def _s6_overlay(svscan: str) -> Command:
    """Rebuild with s6-svscan how s6-overlay 3 runs its CMD: Debian packages neither s6-linux-init nor the overlay.

    The CMD runs beside s6-svscan. SIGTERM is not forwarded to the CMD, it starts the shutdown: stop the services (none
    here), send SIGTERM to every process, wait S6_KILL_GRACETIME (3 seconds), send SIGKILL.
    """

    def command(program: str, folder: Path) -> list[str]:
        scanned = folder / "s6"
        control = scanned / ".s6-svscan"
        control.mkdir(parents=True)
        start = f"{program} &\nexec {svscan} {scanned}"
        shutdown = f"kill -TERM -1\nkill -CONT -1\nsleep 3\nkill -KILL -1\nexec s6-svscanctl -t {scanned}"
        scripts = {folder / "init": start, control / "SIGTERM": shutdown}
        for path, text in scripts.items():
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
        return [*UNSHARE, str(folder / "init")]

    return command


HALT = signal.SIGRTMIN + 3
"""Asks systemd to stop all units and halt (systemd(1)). Engines send it if systemd is PID 1."""

UNITS = {
    "work.service": """
        [Unit]
        DefaultDependencies=no
        [Service]
        ExecStart={program}
        WorkingDirectory={folder}
        StandardOutput=null
        KillMode={kill_mode}
        TimeoutStopSec=5
        """,
    "halt.target": """
        [Unit]
        DefaultDependencies=no
        Requires=exit.service
        """,
    "exit.service": """
        [Unit]
        DefaultDependencies=no
        Conflicts=work.service
        After=work.service
        SuccessAction=exit-force
        [Service]
        Type=oneshot
        ExecStart=true
        """,
}
"""The only units that systemd knows: it starts and stops no unit of the machine."""

BOOT = """
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec env container=other SYSTEMD_UNIT_PATH={units} {systemd} --unit=work.service --log-target=null --show-status=0
"""


def _systemd(cgroup: Path, kill_mode: str) -> Command:
    """systemd as PID 1, with the program as its only service."""
    systemd = packages.provide("/lib/systemd/systemd", "systemd")

    def command(program: str, folder: Path) -> list[str]:
        units = folder / "units"
        units.mkdir()
        for name, text in UNITS.items():
            (units / name).write_text(dedent(text).format(program=program, folder=folder, kill_mode=kill_mode))
        boot = BOOT.format(units=units, systemd=systemd)
        join = f'echo $$ > {cgroup}/cgroup.procs && exec "$@"'
        return ["sh", "-ec", join, "sh", *UNSHARE, "--cgroup", "sh", "-ec", boot]

    return command


@contextmanager
def _cgroup() -> Iterator[Path]:
    """Make a cgroup, which becomes the root of the container's cgroup namespace."""
    asked = subprocess.run(
        ["findmnt", "--types=cgroup2", "--noheadings", "--output=TARGET"], capture_output=True, text=True
    )
    if not asked.stdout:
        raise Unavailable("systemd needs a cgroup2 file system, but none is mounted")
    cgroup = Path(mkdtemp(prefix="pyinit-ends-", dir=asked.stdout.split()[0]))
    try:
        yield cgroup
    finally:
        for folder, _, _ in os.walk(cgroup, topdown=False):
            os.rmdir(folder)
