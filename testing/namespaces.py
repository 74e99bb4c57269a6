"""A program as the real PID 1 of a PID namespace of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, ClassVar, Self

import psutil

from testing.processes import descriptors, zombies
from testing.waiting import PATIENCE, Failed, eventually

INTERPRETER = os.path.realpath(sys.executable)
"""The interpreter itself, not the virtual environment's link to it."""

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]

IN_TIME = ["nice", "-n", "-20"]
"""Words to put before a command whose processes have to act within a second or two, however loaded the machine is."""

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
"""The variables that a container engine sets."""


def python(program: str, *arguments: str) -> list[str]:
    """The words that run a program in Python as the workload, with a fast start."""
    return [INTERPRETER, "-ISc", program, *arguments]


def clean_environment(**variables: str) -> Mapping[str, str]:
    """PATH and these variables."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), **variables}


@dataclass(frozen=True)
class Ended:
    """How a container ended, and what it wrote."""

    status: int
    out: str
    err: str


class Container:
    """A command that makes a PID namespace and has one child, its PID 1: `UNSHARE` with a program; text in and out.

    At the end of its context it is killed.
    """

    KILL: ClassVar[signal.Signals] = signal.SIGKILL  # --kill-child takes PID 1, and the kernel all others, with it
    """The signal that ends the command and everything in the namespace."""
    patience: ClassVar[float] = PATIENCE
    """Seconds that anything may take."""

    def __init__(self, command: Sequence[str | bytes | Path], **popen: object) -> None:
        """Start it; `popen` are arguments of `subprocess.Popen`."""
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen}
        self.process: subprocess.Popen[bytes] = subprocess.Popen(command, **settings)  # type: ignore[call-overload]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill everything in it, and return when all has ended."""
        self.process.send_signal(self.KILL)
        with suppress(BrokenPipeError), self.process:  # input that was never sent
            for pipe in (self.process.stdout, self.process.stderr):
                if pipe and not pipe.closed:
                    pipe.read()

    @cached_property
    def init(self) -> int:
        """The pid of PID 1, as it is seen from outside."""

        def look() -> list[int]:
            found = [child.pid for child in psutil.Process(self.process.pid).children()]
            if not found and self.process.poll() is not None:
                raise Failed(f"it ended at once: {self.how_it_ended()}")
            return found

        return eventually(look, "PID 1 is started", patience=self.patience)[0]

    @property
    def enter(self) -> list[str]:
        """The words that run a program in the container, as a container engine does."""
        return ["nsenter", f"--target={self.init}", "--mount", "--pid", "--"]

    def signal(self, number: int) -> None:
        """Send a signal to PID 1 from outside the namespace."""
        os.kill(self.init, number)

    def await_rest(self) -> None:
        """Wait until PID 1 sleeps and has its counters: by then it has loaded everything."""
        process = Path(f"/proc/{self.init}")

        def sleeps() -> bool:
            words = (process / "syscall").read_text().split()
            # rt_sigtimedwait(2): the fourth argument is the size of a set of signals.
            is_asleep = len(words) == 9 and words[4] == "0x8"
            files = descriptors(self.init, least=0).items()
            counters = [process / "fd" / str(number) for number, target in files if "pyinit-status" in target]
            # It publishes them when it has loaded everything. Where it cannot, it has no deadline, the third argument.
            return is_asleep and any(words[3] == "0x0" or file.stat().st_size for file in counters)

        eventually(sleeps, "PID 1 sleeps and has its counters", patience=self.patience)

    def context_switches(self) -> int:
        """How often PID 1 has been switched away from."""
        return sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", Path(f"/proc/{self.init}/status").read_text())))

    def await_settled(self) -> int:
        """Wait until PID 1 sleeps without a deadline, and nothing wakes it for half a second; return its
        `context_switches`."""
        self.await_rest()

        def look() -> tuple[int, int]:
            before = self.context_switches()
            time.sleep(0.5)
            # rt_sigtimedwait(2): without the third argument it sleeps until a signal comes.
            sleeps = Path(f"/proc/{self.init}/syscall").read_text().split()[3:4] == ["0x0"]
            return before, self.context_switches() if sleeps else -1

        return eventually(look, "PID 1 has settled", holds=lambda seen: seen[0] == seen[1], patience=self.patience)[1]

    def zombies(self) -> list[int]:
        """The pids of all zombies, as they are seen from outside."""
        return zombies(self.init, recursive=True)

    def await_zombies(self, count: int) -> None:
        """Wait until there are `count` zombies."""
        eventually(self.zombies, f"{count} zombies", holds=lambda found: len(found) == count)

    def say(self, line: str = "") -> None:
        """Write a line to standard input.

        Raises:
            Failed: no process can read it any more.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failed(f"the workload ended: {self.how_it_ended()}") from None

    def hear(self) -> str:
        """The next line of standard output, without white space around it.

        Raises:
            Failed: no line came.
        """
        line = self._read(self.process.stdout)
        if not line:
            raise Failed(f"no line within {self.patience:g} s, or the workload has ended: {self.how_it_ended()}")
        return line.decode().strip()

    def line(self) -> str:
        """The next line of standard output; what there is of it, if everything ended or `patience` has passed."""
        return self._read(self.process.stdout).decode("utf-8", "surrogateescape").rstrip("\n")

    def _read(self, pipe: IO[bytes] | None) -> bytes:
        assert pipe is not None
        watchdog = threading.Timer(self.patience, self.process.kill)
        watchdog.start()
        try:
            return pipe.readline()
        finally:
            watchdog.cancel()

    def expect(self, line: str) -> None:
        """Check that the next line of standard output is this one."""
        seen = self.line()
        assert seen == line, (seen, self.process.poll())

    def error_line(self, text: str = "") -> str:
        """Read standard error up to the next line with this text; return that line."""
        while text not in (line := self._read(self.process.stderr).decode()):
            assert line, f"it ended, or wrote no line within {self.patience:g} s, without {text!r}"
        return line

    def end(self, patience: float = PATIENCE) -> Ended:
        """Wait for the end, `patience` seconds at most; return how it ended."""
        out, err = self.process.communicate(timeout=patience)
        return Ended(self.process.returncode, (out or b"").decode(errors="surrogateescape"), (err or b"").decode())

    def how_it_ended(self) -> str:
        """For a message."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        return f"status {self.process.returncode}"
