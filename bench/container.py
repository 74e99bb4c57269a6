"""A measured program as PID 1 of its own PID namespace, as in a container."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import psutil

from testing import namespaces, processes
from testing.namespaces import ENVIRONMENT
from testing.waiting import Failed


class Container(namespaces.Container):
    """A command that runs as PID 1 inside a ``with`` block, and is killed at the end of the block.

        with Container(launch, ["/usr/bin/tini", "--", "/bin/cat"]) as container:
            container.say("hello")
            assert container.hear() == "hello"

    `launch` is the path of the built probe `launch`.
    """

    KILL = signal.SIGTERM  # to the launcher, not to PID 1: only the launcher knows if the pid is still valid
    patience = 600
    """Seconds. The slowest init needs minutes for a crowd of orphans."""

    def __init__(self, launch: Path, command: Sequence[str], *options: str) -> None:
        """`options` are passed to the probe."""
        self._probes = launch.parent
        self._command = command
        reading, writing = os.pipe()
        self._report = open(reading, encoding="ascii")  # noqa: SIM115 - closed in kill()
        with open(writing, "wb"):
            super().__init__(
                [launch, str(writing), *options, *command],
                pass_fds=[writing],
                env=ENVIRONMENT,  # the caller's environment must not change the figures
                stdin=subprocess.PIPE,
                stderr=None,
                start_new_session=True,  # Ctrl-C reaches only us: we end the container ourselves
            )
        self.init = int(self._reported())

    def _reported(self) -> str:
        line = self._report.readline()
        if not line:
            raise Failed(f"{self._command[0]} could not be launched")
        return line

    def kill(self) -> None:
        """Kill everything in the container, and wait until it has exited."""
        with self._report:
            super().kill()

    @property
    def answers(self) -> IO[bytes]:
        """The stdout of the workload."""
        assert self.process.stdout
        return self.process.stdout

    def ask(self, line: str) -> list[int]:
        """Write a line to the workload's stdin, and return the numbers that it answers."""
        self.say(line)
        return [int(word) for word in self.hear().split()]

    def life(self) -> tuple[int, int]:
        """Wait until PID 1 has exited; return the times of its exec and of its wait, in ns of CLOCK_MONOTONIC."""
        began, ended, status = map(int, self._reported().split())
        if status:
            raise Failed(f"{' '.join(self._command)} exited with {os.waitstatus_to_exitcode(status)}")
        return began, ended

    def _init(self) -> list[int]:
        """The pids of PID 1 and its helpers: all processes in the container except the probes."""
        children = psutil.Process(self.init).children(recursive=True)
        return [self.init, *(child.pid for child in children if Path(child.exe()).parent != self._probes)]

    def context_switches(self) -> int:
        """Context switches of the init, voluntary and involuntary."""
        return sum(_context_switches(pid) for pid in self._init())

    def processor_time(self) -> float:
        """Seconds of processor time that the init has used."""
        return sum(processor_time(pid) for pid in self._init())

    def memory(self, kind: str) -> int:
        """Memory of the init in kB; `kind` is a field of /proc/PID/smaps_rollup, such as Private_Dirty."""
        return sum(processes.memory(pid, kind) for pid in self._init())

    def settle(self, quiet: float = 0.3, patience: float = 10) -> None:
        """Wait until PID 1 has finished its work: it has been asleep for `quiet` seconds."""
        deadline = time.monotonic() + patience
        before, now = -1, _context_switches(self.init)
        while before != now:
            if time.monotonic() > deadline:
                raise Failed(f"{self._command[0]} was still busy after {patience} s")
            time.sleep(quiet)
            before, now = now, _context_switches(self.init)


def processor_time(pid: int) -> float:
    """Seconds of processor time, from ``/proc/PID/schedstat``: it counts nanoseconds, ``stat`` only clock ticks."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _context_switches(pid: int) -> int:
    return sum(psutil.Process(pid).num_ctx_switches())
