"""A measured program as PID 1 of a PID namespace of its own, as in a container."""

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
    """A command that runs as PID 1, from the beginning of a ``with`` to its end at the latest.

        with Container(launch, ["/usr/bin/tini", "--", "/bin/cat"]) as container:
            container.say("hello")
            assert container.hear() == "hello"

    `launch` is the built probe of that name.
    """

    KILL = signal.SIGTERM  # not PID 1 itself: only its parent knows whether the pid is still its own
    patience = 600
    """A crowd of orphans takes the slowest init minutes."""

    def __init__(self, launch: Path, command: Sequence[str], *options: str) -> None:
        """`options` are those of the probe."""
        self._probes = launch.parent
        self._command = command
        reading, writing = os.pipe()
        self._report = open(reading, encoding="ascii")  # noqa: SIM115 - closed in kill()
        with open(writing, "wb"):
            super().__init__(
                [launch, str(writing), *options, *command],
                pass_fds=[writing],
                env=ENVIRONMENT,  # so that the caller's shell is not measured
                stdin=subprocess.PIPE,
                stderr=None,
                start_new_session=True,  # Ctrl-C is for us alone: we end what we have started
            )
        self.init = int(self._reported())

    def _reported(self) -> str:
        line = self._report.readline()
        if not line:
            raise Failed(f"{self._command[0]} could not be launched")
        return line

    def kill(self) -> None:
        """End all that is in it, and return when it has ended."""
        with self._report:
            super().kill()

    @property
    def answers(self) -> IO[bytes]:
        """The stdout of the workload."""
        assert self.process.stdout
        return self.process.stdout

    def ask(self, line: str) -> list[int]:
        """Write a line to the workload's stdin; return the figures of its answer."""
        self.say(line)
        return [int(word) for word in self.hear().split()]

    def life(self) -> tuple[int, int]:
        """Wait until PID 1 has ended; return when it was exec'ed, and when waited for, in ns of CLOCK_MONOTONIC."""
        began, ended, status = map(int, self._reported().split())
        if status:
            raise Failed(f"{' '.join(self._command)} ended with {os.waitstatus_to_exitcode(status)}")
        return began, ended

    def _init(self) -> list[int]:
        """PID 1, and the helpers that it has started: all processes in there but the probes."""
        children = psutil.Process(self.init).children(recursive=True)
        return [self.init, *(child.pid for child in children if Path(child.exe()).parent != self._probes)]

    def context_switches(self) -> int:
        """How often the init has left a processor, of its own will or not."""
        return sum(_context_switches(pid) for pid in self._init())

    def processor_time(self) -> float:
        """Seconds that the init has run."""
        return sum(processor_time(pid) for pid in self._init())

    def memory(self, kind: str) -> int:
        """Memory of the init in kB; `kind` is a field of /proc/PID/smaps_rollup, such as Private_Dirty."""
        return sum(processes.memory(pid, kind) for pid in self._init())

    def settle(self, quiet: float = 0.3, patience: float = 10) -> None:
        """Wait until PID 1 has done all that a start or a storm left to do: asleep for `quiet` seconds."""
        deadline = time.monotonic() + patience
        before, now = -1, _context_switches(self.init)
        while before != now:
            if time.monotonic() > deadline:
                raise Failed(f"{self._command[0]} found no rest in {patience} s")
            time.sleep(quiet)
            before, now = now, _context_switches(self.init)


def processor_time(pid: int) -> float:
    """Seconds that a process has run, from ``/proc/PID/schedstat``: in nanoseconds, while stat has clock ticks."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _context_switches(pid: int) -> int:
    return sum(psutil.Process(pid).num_ctx_switches())
