"""The end, in stages: who is asked to go, how long each may take, who is killed.

    running -> draining -> killing -> over          the workload has ended; --drain-timeout, a second
    running -> staying -> draining ...              --wait-for=all: the workload has ended, others live on
    (any stage) -> over                             nobody is left

A stop signal is forwarded like any other and changes no stage: it starts the stop timeout, after which a workload
that still lives is killed, and a stay is over.
"""

import posix
import time

from . import everyone, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .deadlines import Deadlines
    from .log import Log
    from .options import Options

RUNNING, STAYING, DRAINING, KILLING, OVER = "running", "staying", "draining", "killing", "over"

_AFTER_KILL = 1.0
"""Seconds that are left to those who have got SIGKILL: who hangs in the kernel does not hang us."""

_KILL_AGAIN = 0.05
"""Seconds between two walks that kill: one finds who was born during the one before."""


class Shutdown:
    """Knows the stage, and what the end of the stage brings."""

    __slots__ = (
        "_chosen",
        "_deadlines",
        "_log",
        "_ran_out",
        "_stopped",
        "_workload",
        "killed_after",
        "stage",
        "stragglers",
        "stragglers_killed",
    )

    def __init__(self, workload: int, chosen: "Options", deadlines: "Deadlines", log: "Log") -> None:
        self._workload = workload
        self._chosen = chosen
        self._deadlines = deadlines
        self._log = log
        self._stopped: "float | None" = None
        """When the first stop signal came."""
        self._ran_out = False
        """Whether the stop timeout has passed."""
        self.stage = RUNNING
        self.killed_after: "float | None" = None
        """Seconds from the first stop signal until we killed the workload; None if we did not."""
        self.stragglers: "list[str]" = []
        """The names of those who were left when the workload had ended, and got SIGTERM."""
        self.stragglers_killed: "list[str] | None" = None
        """The names of those who were left after the drain timeout; None if it did not come to that."""

    @property
    def is_running(self) -> bool:
        """Whether the workload is waited for."""
        return self.stage == RUNNING

    @property
    def is_draining(self) -> bool:
        """Whether all that are left have been asked to go."""
        return self.stage not in (RUNNING, STAYING)

    @property
    def is_over(self) -> bool:
        return self.stage == OVER

    def stop(self) -> None:
        """A stop signal has come."""
        if self._stopped is None:
            self._stopped = time.monotonic()
            if self._chosen.stop_timeout is not None and self.stage in (RUNNING, STAYING):
                self._deadlines.set(self._run_out, self._chosen.stop_timeout)

    def workload_ended(self, nobody_is_left: bool) -> None:
        """The workload has ended, and we were waiting for that."""
        if self._chosen.wait_for == "all" and not self._ran_out and not nobody_is_left:
            self._log.info("staying", "the workload has ended, others live on: staying until they have ended, too")
            if self._stopped is not None:  # it was asked to stop, and so are they
                self._send(signals.TERM, signals.CONT)
            self.stage = STAYING
            return
        self._deadlines.cancel(self._run_out)
        self._drain(nobody_is_left)

    def _run_out(self) -> None:
        """The stop timeout has passed."""
        self._ran_out = True
        if self.stage != RUNNING:
            self._drain()
            return
        assert self._stopped is not None
        after = time.monotonic() - self._stopped
        try:
            posix.kill(self._workload, signals.KILL)
            self.killed_after = after
            self._log.info("stop-timeout", f"killed pid {self._workload}, {after:.1f}s after the stop signal")
        except OSError as error:  # EPERM: somebody else's by now, and we lack CAP_KILL
            self._log.error("undeliverable", f"cannot kill pid {self._workload}: {error.strerror}", signal="SIGKILL")
        self._deadlines.set(self._give_up_workload, _AFTER_KILL)

    def _give_up_workload(self) -> None:
        if self.stage == RUNNING:
            self._log.error("hanging", f"pid {self._workload} does not end: going on without it", pid=self._workload)
            self._drain()

    def _drain(self, nobody_is_left: bool = False) -> None:
        """Ask all that are left to go, and give them time."""
        if not self._chosen.drain_timeout:
            self.stage = OVER
            return
        if nobody_is_left:  # in our care: what `docker exec` brought in is not, but shall hear of the end
            if posix.getpid() == 1:
                self._send(signals.TERM, signals.CONT)
            self.stage = OVER
            return
        if not everyone.can_be_reached():
            self._log.warning("undeliverable", "cannot see who is left, for want of /proc: leaving them alone")
            self.stage = OVER
            return
        self.stragglers = self._names()
        self._log.info("draining", f"SIGTERM to those who are left: {', '.join(self.stragglers)}")
        self._send(signals.TERM, signals.CONT)
        self._deadlines.set(self._kill, self._chosen.drain_timeout)
        self.stage = DRAINING

    def _kill(self) -> None:
        """The drain timeout has passed: kill all that are left."""
        self.stragglers_killed = self._names()
        self._log.info("killing", f"SIGKILL to those who are left: {', '.join(self.stragglers_killed)}")
        self._deadlines.set(self._give_up, _AFTER_KILL)
        self._kill_again()
        self.stage = KILLING

    def _kill_again(self) -> None:
        self._send(signals.KILL)
        if posix.getpid() != 1:
            self._deadlines.set(self._kill_again, _KILL_AGAIN)

    def _give_up(self) -> None:
        self.stage = OVER

    def _names(self) -> "list[str]":
        try:
            return everyone.names()
        except Exception:  # no names, then: what follows matters more
            return []

    def _send(self, *numbers: int) -> None:
        try:
            everyone.send(self._log, *numbers)
        except ProcessLookupError:  # nobody is left
            pass
        except OSError as error:
            name = signals.name_of(numbers[0])
            self._log.warning("undeliverable", f"cannot send {name} to all: {error.strerror}", signal=name)
