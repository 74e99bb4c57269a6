"""pyinit as PID 1 of a PID namespace of its own, and what has to hold of it whatever is done to it."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import psutil

from soak.fault import Broken, Setting
from testing.namespaces import ENVIRONMENT, UNSHARE, Container
from testing.processes import descriptors, memory, zombies
from testing.waiting import eventually

PATIENCE = 60
"""Seconds that anything may take; a good run never waits for them."""

GROWTH_kB = 512
"""What memory may grow by, after warming up: what is held for a moment, such as the zombies that a watch has seen,
leaves holes, and the allocator of an interpreter takes memory by leaps."""

NEVER = ("carrying on after", "Traceback", "cannot go on", "Exception ignored")
"""What a log never tells of, if nothing is wrong with pyinit."""


class Namespace(Container):
    """pyinit and its workload, from the beginning of a ``with`` to its end at the latest.

    Log lines go to a file, which is looked through at the end, unless `stderr` is another place.
    """

    patience = PATIENCE

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
            super().__init__(
                [*UNSHARE, *unshare, setting.launcher, *options, "--", *workload],
                env={**ENVIRONMENT, **(environment or {})},
                stdin=subprocess.PIPE,
                stderr=log if stderr is None else stderr,
                start_new_session=True,  # Ctrl-C is for us alone: we end what we have started
            )

    def ctl(self, *words: str, unshared: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run pyinitctl in the container, as `docker exec` would; in these namespaces, too."""
        ctl = str(self._setting.launcher.with_name("pyinitctl"))
        command = [*self.enter[:-1], *unshared, "--", ctl, *words]
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
        return eventually(self.status, f"{what} in pyinitctl status", holds=holds, patience=PATIENCE)

    def await_rest(self) -> None:
        """Wait until PID 1 sleeps, and no zombie is left of which it is the parent."""
        super().await_rest()
        eventually(lambda: zombies(self.init), "PID 1 has no zombie", holds=lambda seen: not seen, patience=PATIENCE)

    def descriptors(self) -> list[str]:
        """What PID 1 has open."""
        return sorted(descriptors(self.init, least=0).values())

    def measure(self) -> tuple[int, list[str]]:
        """Memory and descriptors of PID 1, at rest."""
        self.await_rest()
        return memory(self.init), self.descriptors()

    def check_growth(self, before: tuple[int, list[str]]) -> None:
        """Compare with what `measure` returned after the warming up.

        Raises:
            Broken: it has grown.
        """
        now, _ = self.measure()
        if now > before[0] + GROWTH_kB:
            raise Broken(f"the memory of PID 1 has grown from {before[0]} to {now} kB (Private_Dirty)")
        # It may be looking into /proc just now.
        what = f"the descriptors of PID 1 are no more than {before[1]}"
        eventually(self.descriptors, what, holds=lambda now: len(now) <= len(before[1]), patience=PATIENCE)

    def finish(self, status: int) -> None:
        """Wait for the end, which comes of itself or of the end of the workload's stdin.

        Raises:
            Broken: not with that status, or the log tells what it never should.
        """
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.await_end(status)

    def await_end(self, status: int) -> None:
        """Wait for the end, while the workload's stdin stays open; raises as `finish` does."""
        try:
            ended = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Broken(f"it has not ended within {PATIENCE} s") from None
        if ended != status:
            raise Broken(f"it ended with {ended} instead of {status}: {self._last_lines()}")
        if told := [line for line in self._lines() if any(words in line for words in NEVER)]:
            raise Broken(f"the log tells: {told[0]}")

    def how_it_ended(self) -> str:
        """For a message."""
        return f"{super().how_it_ended()}, {self._last_lines()}"

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
