"""pyinit as PID 1 of its own PID namespace, and the checks that hold under every fault."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from soak.fault import Broken, Setting
from testing.namespaces import ENVIRONMENT, UNSHARE, Container
from testing.processes import descriptors, memory, zombies
from testing.waiting import eventually

PATIENCE = 60
"""Seconds that anything may take. A good run never waits that long."""

GROWTH_kB = 512
"""How much memory may grow after the warm-up. Short-lived objects, such as the zombies that a watch has seen, fragment
the heap, and the interpreter's allocator takes memory in large pieces."""

NEVER = ("carrying on after", "Traceback", "cannot go on", "Exception ignored")
"""Text that appears in the log only if pyinit has a bug."""


class Namespace(Container):
    """pyinit and its workload inside a ``with`` block, killed at the end of the block.

    Log lines go to a file, which is checked at the end, or to `stderr` if that is given.
    """

    patience = PATIENCE

    def __init__(
        self,
        setting: Setting,
        options: Sequence[str],
        workload: Sequence[str],
        *,
        unshare: Sequence[str] = (),
        before: Sequence[str | Path] = (),
        environment: Mapping[str, str] | None = None,
        stderr: int | None = None,
    ) -> None:
        """`before` are words put in front of the launcher, in its namespace."""
        self._setting = setting
        self.log = setting.folder / "log"
        with self.log.open("ab") as log:
            super().__init__(
                [*UNSHARE, *unshare, *before, setting.launcher, *options, "--", *workload],
                env={**ENVIRONMENT, **(environment or {})},
                stdin=subprocess.PIPE,
                stderr=log if stderr is None else stderr,
                start_new_session=True,  # Ctrl-C reaches only us: we end the container ourselves
            )

    def ctl(self, *words: str, unshared: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run pyinitctl in the container, as `docker exec` would, and also in the namespaces `unshared`."""
        ctl = str(self._setting.launcher.with_name("pyinitctl"))
        command = [*self.enter[:-1], *unshared, "--", ctl, *words]
        return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)

    def status(self) -> dict[str, Any]:
        """The output of `pyinitctl status`."""
        done = self.ctl("status", "--json")
        if done.returncode:
            raise Broken(f"pyinitctl status exited with {done.returncode}: {done.stderr.strip()}")
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def await_status(self, holds: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Wait until `holds` accepts the counters, and return them. (pyinit writes them 50 ms late.)"""
        return eventually(self.status, f"{what} in pyinitctl status", holds=holds, patience=PATIENCE)

    def await_rest(self) -> None:
        """Wait until PID 1 sleeps and has no zombie child."""
        super().await_rest()
        eventually(lambda: zombies(self.init), "PID 1 has no zombie", holds=lambda seen: not seen, patience=PATIENCE)

    def descriptors(self) -> list[str]:
        """The open files of PID 1."""
        return sorted(descriptors(self.init, least=0).values())

    def measure(self) -> tuple[int, list[str]]:
        """The memory and the descriptors of PID 1, at rest."""
        self.await_rest()
        return memory(self.init), self.descriptors()

    def check_growth(self, before: tuple[int, list[str]]) -> None:
        """Compare with the result of `measure` after the warm-up.

        Raises:
            Broken: it has grown.
        """
        now, _ = self.measure()
        if now > before[0] + GROWTH_kB:
            raise Broken(f"the memory of PID 1 has grown from {before[0]} to {now} kB (Private_Dirty)")
        # PID 1 may be reading /proc at this moment.
        what = f"the descriptors of PID 1 are no more than {before[1]}"
        eventually(self.descriptors, what, holds=lambda now: len(now) <= len(before[1]), patience=PATIENCE)

    def finish(self, status: int) -> None:
        """Close the workload's stdin, and wait until PID 1 has exited.

        Raises:
            Broken: it exited with another status, or the log has a line that it never should.
        """
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.await_end(status)

    def await_end(self, status: int) -> None:
        """Wait until PID 1 has exited, with the workload's stdin still open. Raises as `finish` does."""
        try:
            ended = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Broken(f"PID 1 did not exit within {PATIENCE} s") from None
        if ended != status:
            raise Broken(f"PID 1 exited with {ended} instead of {status}: {self._last_lines()}")
        if wrong := [line for line in self._lines() if any(words in line for words in NEVER)]:
            raise Broken(f"line in the log: {wrong[0]}")

    def how_it_ended(self) -> str:
        """As text for a message."""
        return f"{super().how_it_ended()}, {self._last_lines()}"

    def events(self) -> list[dict[str, Any]]:
        """The events in the log, with `--log-format=json`.

        Raises:
            Broken: a line is not one of the log's.
        """
        try:
            return [json.loads(line) for line in self._lines()]
        except ValueError:
            raise Broken(f"not a line of the log among {self._lines()}") from None

    def _lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()

    def _last_lines(self) -> str:
        return f"last lines {self._lines()[-3:]}"


def stop(pid: int) -> None:
    """Send a process SIGSTOP, and wait until it has stopped.

    Raises:
        Broken: it does not stop.
    """
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, f"pid {pid} has stopped")
