"""A program as PID 1 of a PID namespace of its own, as in a container."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
"""What a container engine sets, so that the caller's shell is not measured."""


class Failed(Exception):
    """A measured program did not do what it was started for."""


class Container:
    """A command that runs as PID 1, from the beginning of a ``with`` to its end at the latest.

        with Container(launch, ["/usr/bin/tini", "--", "/bin/cat"]) as container:
            container.tell("hello")
            assert container.hear() == "hello"

    `launch` is the built probe of that name. `pid` is that of PID 1 as seen from outside.
    """

    def __init__(self, launch: Path, command: Sequence[str]) -> None:
        self._probes = launch.parent
        reading, writing = os.pipe()
        with open(writing, "wb"):
            self._report = open(reading, encoding="ascii")  # noqa: SIM115 - closed in __exit__
            self._command = command
            self._launch = subprocess.Popen(
                [launch, str(writing), *command],
                pass_fds=[writing],
                env=ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C is for us alone: we end what we have started
            )
        self.pid = int(self._line())

    def _line(self) -> str:
        line = self._report.readline()
        if not line:
            raise Failed(f"{self._command[0]} could not be launched")
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._report, self._launch:
            self._launch.terminate()  # not PID 1 itself: only its parent knows whether the pid is still its own

    @property
    def answers(self) -> IO[str]:
        """The stdout of the workload."""
        assert self._launch.stdout
        return self._launch.stdout

    def tell(self, line: str) -> None:
        """Write a line to the workload's stdin."""
        assert self._launch.stdin
        self._launch.stdin.write(f"{line}\n")
        self._launch.stdin.flush()

    def hear(self) -> str:
        """Return the next line from the workload's stdout."""
        line = self.answers.readline()
        if not line:
            raise Failed(f"{' '.join(self._command)} ended without an answer")
        return line.strip()

    def ask(self, line: str) -> list[int]:
        """Write a line to the workload's stdin; return the figures of its answer."""
        self.tell(line)
        return [int(word) for word in self.hear().split()]

    def life(self) -> tuple[int, int]:
        """Wait until PID 1 has ended; return when it was exec'ed, and when waited for, in ns of CLOCK_MONOTONIC."""
        began, ended, status = map(int, self._line().split())
        if status:
            raise Failed(f"{' '.join(self._command)} ended with {os.waitstatus_to_exitcode(status)}")
        return began, ended

    def _init(self) -> list[int]:
        """PID 1, and the helpers that it has started: all processes in there but the probes."""
        children = psutil.Process(self.pid).children(recursive=True)
        return [self.pid, *(child.pid for child in children if Path(child.exe()).parent != self._probes)]

    def context_switches(self) -> int:
        """How often the init has left a processor, of its own will or not."""
        return sum(_context_switches(pid) for pid in self._init())

    def processor_time(self) -> float:
        """Seconds that the init has run."""
        return sum(processor_time(pid) for pid in self._init())

    def memory(self, kind: str) -> int:
        """Memory of the init in kB; `kind` is a field of /proc/PID/smaps_rollup, such as Private_Dirty."""
        return sum(_sum_of(Path(f"/proc/{pid}/smaps_rollup"), kind) for pid in self._init())

    def settle(self, quiet: float = 0.3, patience: float = 10) -> None:
        """Wait until PID 1 has done all that a start or a storm left to do: asleep for `quiet` seconds."""
        deadline = time.monotonic() + patience
        before, now = -1, _context_switches(self.pid)
        while before != now:
            if time.monotonic() > deadline:
                raise Failed(f"{self._command[0]} found no rest in {patience} s")
            time.sleep(quiet)
            before, now = now, _context_switches(self.pid)


def processor_time(pid: int) -> float:
    """Seconds that a process has run, from ``/proc/PID/schedstat``: in nanoseconds, while stat has clock ticks."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _context_switches(pid: int) -> int:
    """Both kinds of proc(5), status."""
    return _sum_of(Path(f"/proc/{pid}/status"), "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")


def _sum_of(path: Path, *names: str) -> int:
    fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return sum(int(fields[name].split()[0]) for name in names)
