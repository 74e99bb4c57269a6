"""The end, in stages: who is asked to go, how long each may take, who is killed.

    running -> draining -> killing -> over      the workload has ended, or hangs; --drain-timeout; a second
    running -> staying -> draining ...          --wait-for=all: the workload has ended, others live on
    any of them -> over                         nobody is left, or --drain-timeout=0

A stop signal is forwarded like any other and changes no stage: it starts the stop timeout, after which a workload
that still lives is killed, and a stay is over.
"""

import posix
import time

from ..kernel import procfs, signals
from . import stragglers as everyone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..kernel.procfs import Process
    from ..options.settings import Options
    from ..reporting.log import Log
    from ..schedule import Deadlines

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
        "_hangs",
        "_log",
        "_ran_out",
        "_stopped",
        "_workload",
        "has_killed",
        "killed",
        "killed_after",
        "left",
        "stage",
        "stragglers",
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
        self._hangs = False
        """Whether the workload is there a second after SIGKILL."""
        self.stage = RUNNING
        self.killed_after: "float | None" = None
        """Seconds from the first stop signal until we killed the workload; None if we did not."""
        self.stragglers: "list[Process]" = []
        """Who was left when the draining began, and got SIGTERM."""
        self.has_killed = False
        """Whether the drain timeout has passed, and those who were left have got SIGKILL."""
        self.killed: "list[Process]" = []
        """Who they were, as far as that is known."""
        self.left: "list[Process]" = []
        """Who is there all the same when we go, though not with us: PID 1 takes everybody along."""

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
            self.stage = STAYING
            self._log.info("staying", "the workload has ended, others live on: staying until they have ended, too")
            if self._stopped is not None:  # it was asked to stop, and so are they
                self._send(signals.TERM, signals.CONT)
            return
        self._deadlines.cancel(self._run_out)
        self._drain(nobody_is_left)

    def all_ended(self) -> None:
        """Nobody is left whom we were waiting for."""
        if self.stage == STAYING:
            self._drain(nobody_is_left=True)
        self.stage = OVER

    def _run_out(self) -> None:
        """The stop timeout has passed."""
        self._ran_out = True
        if self.stage != RUNNING:
            self._drain()
            return
        assert self._stopped is not None
        self._deadlines.set(self._give_up_workload, _AFTER_KILL)
        after = time.monotonic() - self._stopped
        pid = self._workload
        try:
            posix.kill(pid, signals.KILL)
        except OSError as error:  # EPERM: somebody else's by now, and we lack CAP_KILL
            self._log.error("undeliverable", f"cannot kill pid {pid}: {error.strerror}", signal="SIGKILL", pid=pid)
        else:
            self.killed_after = after
            self._log.info("stop-timeout", f"killed pid {pid}, {after:.1f}s after the stop signal", pid=pid)

    def _give_up_workload(self) -> None:
        if self.stage == RUNNING:
            self._hangs = True
            self._log.error("hanging", f"pid {self._workload} does not end: going on without it", pid=self._workload)
            self._drain()

    # In the stages below the next deadline comes first: whatever else fails, the end comes.

    def _drain(self, nobody_is_left: bool = False) -> None:
        """Ask all that are left to go, and give them time."""
        self.stage = OVER
        if nobody_is_left:  # in our care: what `docker exec` brought in is not, but shall hear of the end
            if posix.getpid() == 1 and self._chosen.drain_timeout:
                self._send(signals.TERM, signals.CONT)
            return
        if not self._chosen.drain_timeout:
            self._end_group()
            self._leave()
            return
        if not everyone.can_be_reached():
            message = "cannot see who is left, for want of /proc: leaving them alone"
            self._log.warning("undeliverable", message, signal="SIGTERM")
            return
        self._deadlines.set(self._kill, self._chosen.drain_timeout)
        self.stage = DRAINING
        self.stragglers = self._living()
        self._log.info("draining", f"SIGTERM to those who are left: {_names(self.stragglers)}")
        self._send(signals.TERM, signals.CONT)
        self._warn_of_unreachable(self.stragglers, signals.TERM)

    def _end_group(self) -> None:
        """Ask those to go whom the workload has left in its process group, if that was chosen."""
        number = self._chosen.rewrite.get(signals.TERM, signals.TERM)
        if self._chosen.ends_group and self._chosen.forward_to == "group" and number:
            try:
                posix.kill(-self._workload, number)
            except OSError:  # nobody is there, or nobody of ours
                pass

    def _kill(self) -> None:
        """The drain timeout has passed: kill all that are left."""
        if self.stage == DRAINING:
            self._deadlines.set(self._give_up, _AFTER_KILL)
            self.stage = KILLING
            self.killed = self._living()
            # Where /proc can be read and shows nobody, they have gone just now.
            self.has_killed = bool(self.killed) or procfs.name_of(posix.getpid()) is None
            self._log.info("killing", f"SIGKILL to those who are left: {_names(self.killed)}")
            self._warn_of_unreachable(self.killed, signals.KILL)
        try:
            everyone.kill()
        except Exception as error:
            if not isinstance(error, ProcessLookupError):  # somebody is left
                self._log.warning("undeliverable", f"cannot kill those who are left: {error!r}", signal="SIGKILL")
        if posix.getpid() != 1:  # a walk may miss who is just being born
            self._deadlines.set(self._kill, _KILL_AGAIN)

    def _give_up(self) -> None:
        self._leave()
        self.stage = OVER

    def _leave(self) -> None:
        """Go without the others. With PID 1 the kernel ends them."""
        if posix.getpid() != 1:
            self.left = self._living()

    def _living(self) -> "list[Process]":
        """Who is left, as far as that can be seen: all but a workload that hangs."""
        try:
            return [member for member in everyone.living() if member.pid != self._workload or not self._hangs]
        except Exception:  # no names, then: what follows matters more
            return []

    def _warn_of_unreachable(self, members: "list[Process]", number: int) -> None:
        """Say whom we may not signal, for want of CAP_KILL."""
        for member in members:
            try:
                posix.kill(member.pid, 0)
            except PermissionError as error:
                everyone.warn(self._log, member, number, error)
            except OSError:  # it has ended meanwhile
                pass

    def _send(self, *numbers: int) -> None:
        try:
            everyone.send(None, *numbers)
        except ProcessLookupError:  # nobody is left
            pass
        except Exception as error:
            name = signals.name_of(numbers[0])
            self._log.warning("undeliverable", f"cannot send {name} to all that are left: {error!r}", signal=name)


def _names(members: "list[Process]") -> str:
    return everyone.summary([member.name for member in members]) or "nobody that can be seen"
