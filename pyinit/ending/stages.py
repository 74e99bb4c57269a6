"""The end, in stages.

    running -> draining -> killing -> over      the workload has ended, or hangs; --drain-timeout; a second
    running -> staying -> draining ...          --wait-for=all: the workload has ended, other processes have not
    any of them -> over                         no process is left, or --drain-timeout=0

A stop signal is forwarded like any other and changes no stage: it starts the stop timeout, which kills a workload that
is still alive, and ends a stay.
"""

import posix
import time

from ..account import DRAINING, KILLING, OVER, STAYING
from ..kernel import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..account import Account
    from ..kernel.procfs import Process
    from ..options.settings import Settings
    from ..reporting.log import Log
    from ..schedule import Schedule

_AFTER_KILL = 1.0
"""Seconds that processes have after SIGKILL: one that hangs in the kernel does not hang us."""

_KILL_AGAIN = 0.05
"""Seconds between two walks that kill: each finds what was born during the one before."""


class Shutdown:
    """Moves from stage to stage, and takes the first steps of each."""

    __slots__ = ("_account", "_hangs", "_has_run_out", "_log", "_schedule", "_settings", "_stopped")

    def __init__(self, account: "Account", settings: "Settings", schedule: "Schedule", log: "Log") -> None:
        self._account = account
        self._settings = settings
        self._schedule = schedule
        self._log = log
        self._stopped: "float | None" = None
        """When the first stop signal came."""
        self._has_run_out = False
        """Whether the stop timeout has passed."""
        self._hangs = False
        """Whether the workload is still there a second after SIGKILL."""

    def stop(self) -> None:
        """A stop signal has come."""
        if self._stopped is None:
            self._stopped = time.monotonic()
            if self._settings.stop_timeout is not None and not self._account.is_draining:
                self._schedule.set(self._run_out, self._settings.stop_timeout)

    def workload_ended(self, none_is_left: bool) -> None:
        """The workload has ended, and we were waiting for that."""
        if self._settings.wait_for == "all" and not self._has_run_out and not none_is_left:
            self._account.stage = STAYING
            self._log.info("staying", "the workload has ended; staying until the other processes have ended, too")
            if self._stopped is not None:  # it was asked to stop, and so are they
                self._send(signals.TERM, signals.CONT)
            return
        self._schedule.cancel(self._run_out)
        self._drain(none_is_left)

    def all_ended(self) -> None:
        """No process is left that we were waiting for."""
        if self._account.stage == STAYING:
            self._drain(none_is_left=True)
        self._account.stage = OVER

    def _run_out(self) -> None:
        """The stop timeout has passed."""
        self._has_run_out = True
        if not self._account.is_running:
            self._drain()
            return
        self._schedule.set(self._give_up_workload, _AFTER_KILL)
        pid = self._account.pid
        after = time.monotonic() - (self._stopped or 0)
        try:
            posix.kill(pid, signals.KILL)
        except OSError as error:  # EPERM: it has become another user's, and we lack CAP_KILL
            self._log.error("undeliverable", f"cannot kill pid {pid}: {error.strerror}", signal="SIGKILL", pid=pid)
        else:
            self._account.stop_timeout_after = after
            self._log.info("stop-timeout", f"killed pid {pid}, {after:.1f}s after the stop signal", pid=pid)

    def _give_up_workload(self) -> None:
        if self._account.is_running:
            self._hangs = True
            pid = self._account.pid
            self._log.error("hanging", f"pid {pid} does not end: going on without it", pid=pid)
            self._drain()

    # In the stages below the next deadline is set first: whatever else fails, the end comes.

    def _drain(self, none_is_left: bool = False) -> None:
        """Ask all remaining processes to end, and give them time."""
        if none_is_left:  # of our children; a `docker exec` session is not one, and is told to end
            self._account.stage = OVER
            if posix.getpid() == 1 and self._settings.drain_timeout:
                _tell_outsiders()
            return
        if not self._settings.drain_timeout:
            self._account.stage = OVER
            self._end_group()
            self._leave()
            return
        from . import stragglers  # before anything has changed: after a MemoryError all of this is repeated

        self._account.stage = OVER
        if not stragglers.can_be_reached():
            message = "cannot see which processes remain, without /proc: leaving them alone"
            self._log.warning("undeliverable", message, signal="SIGTERM")
            return
        self._schedule.set(self._kill, self._settings.drain_timeout)
        self._account.stage = DRAINING
        self._account.stragglers = remaining = self._living()
        self._log.info("draining", f"sending SIGTERM to {stragglers.describe(remaining)}")
        self._send(signals.TERM, signals.CONT)
        self._warn_of_unreachable(remaining, signals.TERM)

    def _end_group(self) -> None:
        """Ask what the workload has left in its process group to end, if that was chosen."""
        number = self._settings.rewrite.get(signals.TERM, signals.TERM)
        if self._settings.ends_group and self._settings.forward_to == "group" and number:
            try:
                posix.kill(-self._account.pid, number)
            except OSError:  # the group is empty, or another user's
                pass

    def _kill(self) -> None:
        """The drain timeout has passed: kill what is left."""
        from . import stragglers

        account = self._account
        if account.stage == DRAINING:
            self._schedule.set(self._give_up, _AFTER_KILL)
            account.stage = KILLING
            account.killed = self._living()
            # If /proc can be read and shows none, they have just ended.
            account.has_killed = bool(account.killed) or not stragglers.can_be_seen()
            self._log.info("killing", f"sending SIGKILL to {stragglers.describe(account.killed)}")
            self._warn_of_unreachable(account.killed, signals.KILL)
        try:
            stragglers.kill()
        except Exception as error:
            if not isinstance(error, ProcessLookupError):  # some are left
                self._log.warn_once("undeliverable", f"cannot kill what is left: {error!r}", signal="SIGKILL")
        if posix.getpid() != 1:  # a walk may miss a process that is just being born
            self._schedule.set(self._kill, _KILL_AGAIN)

    def _give_up(self) -> None:
        self._leave()
        self._account.stage = OVER

    def _leave(self) -> None:
        """Exit without the others. With PID 1 the kernel ends them."""
        if posix.getpid() != 1:
            self._account.left = self._living()

    def _living(self) -> "list[Process]":
        """The processes that are left, as far as they can be seen, without a workload that hangs."""
        from . import stragglers

        try:
            return [one for one in stragglers.living() if one.pid != self._account.pid or not self._hangs]
        except Exception:  # then the log and the report have no names
            return []

    def _warn_of_unreachable(self, members: "list[Process]", number: int) -> None:
        """Report which of them we may not signal, without CAP_KILL."""
        from . import stragglers

        for member in members:
            try:
                posix.kill(member.pid, 0)
            except PermissionError as error:
                stragglers.warn(self._log, member, number, error)
            except OSError:  # it has ended meanwhile
                pass

    def _send(self, *numbers: int) -> None:
        from . import stragglers

        try:
            stragglers.send(None, *numbers)
        except ProcessLookupError:  # none is left
            pass
        except Exception as error:
            name = signals.name_of(numbers[0])
            self._log.warn_once("undeliverable", f"cannot send {name} to what is left: {error!r}", signal=name)


def _tell_outsiders() -> None:
    """Ask whatever is in our PID namespace to end, without a wait."""
    try:
        posix.kill(-1, signals.TERM)
        posix.kill(-1, signals.CONT)
    except OSError:  # ESRCH: there is nothing
        pass
