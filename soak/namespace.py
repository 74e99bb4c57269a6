"""pyinit as PID 1 of a PID namespace of its own, and what has to hold of it whatever is done to it."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psutil

from bench.container import ENVIRONMENT
from soak.fault import Broken, Setting

PATIENCE = 60
"""Seconds that anything may take; a good run never waits for them."""

GROWTH_kB = 512
"""What memory may grow by, after warming up: what is held for a moment, such as the zombies that a watch has seen,
leaves holes, and the allocator of an interpreter takes memory by leaps."""

UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")

NEVER = ("carrying on after", "Traceback", "cannot go on", "Exception ignored")
"""What a log never tells of, if nothing is wrong with pyinit."""


def eventually(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until `condition` holds.

    Raises:
        Broken: it does not within so many seconds.
    """
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise Broken(f"not within {patience:.0f} s: {what}")
        time.sleep(0.01)


class Namespace:
    """pyinit and its workload, from the beginning of a ``with`` to its end at the latest.

    Log lines go to a file, which is looked through at the end, unless `stderr` is another place.
    """

    def __init__(
        self,
        setting: Setting,
        options: Sequence[str],
        workload: Sequence[str],
        *,
        unshare: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        stderr: int | None = None,
    ) -> None:
        self._setting = setting
        self.log = setting.folder / "log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*UNSHARE, *unshare, setting.launcher, *options, "--", *workload],
                env={**ENVIRONMENT, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log if stderr is None else stderr,
                text=True,
                start_new_session=True,  # Ctrl-C is for us alone: we end what we have started
            )
        try:
            self.pid = self._find()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def _find(self) -> int:
        found: list[int] = []

        def look() -> list[int]:
            found[:] = [child.pid for child in psutil.Process(self.process.pid).children()]
            if not found and self.process.poll() is not None:
                raise Broken(f"it has ended at once: {self._how_it_ended()}")
            return found

        eventually(look, "unshare has started PID 1")
        return found[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()  # --kill-child takes PID 1 along, and the kernel all others
        with contextlib.suppress(BrokenPipeError):  # what was never sent
            self.process.__exit__(None, None, None)

    @property
    def answers(self) -> IO[str]:
        """The stdout of the workload."""
        assert self.process.stdout
        return self.process.stdout

    def tell(self, line: str) -> None:
        """Write a line to the workload's stdin.

        Raises:
            Broken: it has gone.
        """
        assert self.process.stdin
        try:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Broken(f"the workload has ended: {self._how_it_ended()}") from None

    def hear(self) -> str:
        """The next line from the workload's stdout.

        Raises:
            Broken: there is none.
        """
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        asked = time.monotonic()
        try:
            line = self.answers.readline()
        finally:
            watchdog.cancel()
        if not line and time.monotonic() - asked > PATIENCE:
            raise Broken(f"the workload has not answered within {PATIENCE} s: {self._last_lines()}")
        if not line:
            raise Broken(f"the workload has ended: {self._how_it_ended()}")
        return line.strip()

    def signal(self, number: int) -> None:
        """Send PID 1 a signal from outside the namespace."""
        os.kill(self.pid, number)

    def ctl(self, *words: str, unshared: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run pyinitctl in the container, as `docker exec` would; in these namespaces, too."""
        ctl = self._setting.launcher.with_name("pyinitctl")
        command: list[str | Path] = ["nsenter", f"--target={self.pid}", "--pid", "--mount", *unshared, ctl, *words]
        return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)

    def status(self) -> dict[str, Any]:
        """What `pyinitctl status` tells."""
        done = self.ctl("status", "--json")
        if done.returncode:
            raise Broken(f"pyinitctl status ended with {done.returncode}: {done.stderr.strip()}")
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def await_status(self, holds: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Wait until the counters are so (they are written 50 ms late); return them."""
        deadline = time.monotonic() + PATIENCE
        while not holds(seen := self.status()):
            if time.monotonic() > deadline:
                raise Broken(f"{what}: not within {PATIENCE} s, pyinitctl status still has {seen}")
        return seen

    def await_rest(self) -> None:
        """Wait until PID 1 sleeps, and no zombie is left of which it is the parent."""
        eventually(self._sleeps, "PID 1 sleeps, and has its counters")
        eventually(lambda: not self._zombies(), "no zombie is left that PID 1 is the parent of")

    def _sleeps(self) -> bool:
        # The fourth argument of rt_sigtimedwait(2), which is what it sleeps in, is the size of a set of signals.
        words = Path(f"/proc/{self.pid}/syscall").read_text().split()
        return len(words) == 9 and words[4] == "0x8" and "pyinit-status" in " ".join(self.descriptors())

    def _zombies(self) -> list[int]:
        found = []
        for child in psutil.Process(self.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.status() == psutil.STATUS_ZOMBIE:
                    found.append(child.pid)
        return found

    def descriptors(self) -> list[str]:
        """What PID 1 has open."""
        found = []
        for path in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed just now
                found.append(os.readlink(path))
        return sorted(found)

    def private_dirty(self) -> int:
        """Memory that PID 1 alone has written to, in kB."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))

    def measure(self) -> tuple[int, list[str]]:
        """Memory and descriptors of PID 1, at rest."""
        self.await_rest()
        return self.private_dirty(), self.descriptors()

    def check_growth(self, before: tuple[int, list[str]]) -> None:
        """Compare with what `measure` returned after the warming up.

        Raises:
            Broken: it has grown.
        """
        memory, descriptors = self.measure()
        if memory > before[0] + GROWTH_kB:
            raise Broken(f"the memory of PID 1 has grown from {before[0]} to {memory} kB (Private_Dirty)")
        # It may be looking into /proc just now.
        what = f"the descriptors of PID 1 have grown from {before[1]} to {descriptors}"
        eventually(lambda: len(self.descriptors()) <= len(before[1]), f"not true any more: {what}")

    def end(self, status: int) -> None:
        """Wait for the end, which comes of itself or of the end of the workload's stdin.

        Raises:
            Broken: not with that status, or the log tells what it never should.
        """
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.await_end(status)

    def await_end(self, status: int) -> None:
        """Wait for the end, while the workload's stdin stays open; raises as `end` does."""
        try:
            ended = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Broken(f"it has not ended within {PATIENCE} s") from None
        if ended != status:
            raise Broken(f"it ended with {ended} instead of {status}: {self._last_lines()}")
        if told := [line for line in self._lines() if any(words in line for words in NEVER)]:
            raise Broken(f"the log tells: {told[0]}")

    def _how_it_ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        return f"status {self.process.returncode}, {self._last_lines()}"

    def _lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()

    def _last_lines(self) -> str:
        return f"last lines {self._lines()[-3:]}"


def stop(pid: int) -> None:
    """Stop a process with SIGSTOP, and return when it has stopped.

    Raises:
        Broken: it does not.
    """
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, f"pid {pid} has stopped")
