"""The end, in stages.

    running -> draining -> killing -> over      the workload has ended, or hangs; --drain-timeout; a second
    running -> staying -> draining ...          --wait-for=all: the workload has ended, other processes have not
    any of them -> over                         no process is left, or --drain-timeout=0

A stop signal changes no stage: it starts the stop timeout, which kills a workload that is still alive, and ends a stay.
The first one asks processes to end, one after another (`asking`), unless they are being asked already; each later one
is impatience, and goes to all that are left. One that ``--rewrite`` drops only starts the stop timeout.
"""

import posix
import time

from ..account import DRAINING, KILLING, OVER, STAYING
from ..kernel import signals
from ..reporting.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import struct_siginfo

    from ..account import Account
    from ..kernel.procfs import Process
    from ..options.settings import Settings
    from ..reporting.log import Log
    from ..schedule import Schedule
    from .asking import Asking

_AFTER_KILL = 1.0
"""Seconds that processes have after SIGKILL: one that hangs in the kernel does not hang us."""

_READERS_AFTER = 0.5
"""Seconds that readers have after all others were sent SIGKILL: they read what is left, and the end of their input."""

_KILL_AGAIN = 0.05
"""Seconds between two walks that kill: each finds what was born during the one before."""

_LOOK_AGAIN = 0.1
"""Seconds between two looks at processes that are asked to end."""

_LAST_CALL = 1.0
"""Seconds before the drain timeout ends; at half of it if it is shorter than twice this."""


class Shutdown:
    """Moves from stage to stage, and takes the first steps of each."""

    __slots__ = (
        "_account",
        "_asking",
        "_first",
        "_hangs",
        "_has_run_out",
        "_kills_readers",
        "_log",
        "_number",
        "_schedule",
        "_settings",
        "_stopped",
    )

    def __init__(self, account: "Account", settings: "Settings", schedule: "Schedule", log: "Log") -> None:
        self._account = account
        self._settings = settings
        self._schedule = schedule
        self._log = log
        self._first: "struct_siginfo | None" = None
        """The first stop signal that was not dropped."""
        self._stopped = 0.0
        """When the first stop signal came, dropped or not; 0 before."""
        self._has_run_out = False
        """Whether the stop timeout has passed."""
        self._hangs = False
        """Whether the workload is still there a second after SIGKILL."""
        self._number = signals.TERM
        """The signal that asks processes to end."""
        self._asking: "Asking | None" = None
        """None until the first is asked."""
        self._kills_readers = 0.0
        """When readers are killed like all others."""

    def stop(self, info: "struct_siginfo", is_dropped: bool) -> None:
        """A stop signal has come. (One that is forwarded again, for want of memory, counts once.)"""
        if not self._stopped:
            if self._settings.stop_timeout is not None and not self._account.is_draining:
                self._schedule.set(self._run_out, self._settings.stop_timeout)
            self._stopped = time.monotonic()
        if not is_dropped:
            self._first = self._first or info

    def pass_on(self, info: "struct_siginfo", number: int, is_stop: bool) -> bool:
        """Send a signal, as `number`, to what the workload has left; return whether there was anything to do.

        Raises:
            OSError: there was nobody to send it to.
        """
        from . import stragglers

        if info is self._first:
            if self._account.is_draining:  # what is left is being asked already
                return False
            self._number = number
            self._schedule.set(self._ask, 0)
        elif is_stop and stragglers.are_all_seen():
            self._asker().insist(number)
        else:
            stragglers.send(self._log, number)
        return True

    def workload_ended(self, none_is_left: bool) -> None:
        """The workload has ended, and we were waiting for that."""
        if self._settings.wait_for == "all" and not self._has_run_out and not none_is_left:
            self._account.stage = STAYING
            self._log.info("staying", "the workload has ended; staying until the other processes have ended, too")
            if self._first:  # it was asked to stop, and so are they
                self._schedule.set(self._ask, 0)
            return
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
        after = time.monotonic() - self._stopped
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
        timeout = self._settings.drain_timeout
        if none_is_left:  # of our children; a `docker exec` session is not one, and is told to end
            self._account.stage = OVER
            if posix.getpid() == 1 and timeout:
                _tell_outsiders()
            return
        if not timeout:
            self._account.stage = OVER
            self._end_group()
            self._leave()
            return
        from . import asking, stragglers  # noqa: F401 - before anything has changed: after a MemoryError we come again

        self._schedule.cancel(self._run_out)
        self._account.stage = OVER
        if not stragglers.can_be_reached():
            message = "cannot see which processes remain, without /proc: leaving them alone"
            self._log.warning("undeliverable", message, signal="SIGTERM")
            return
        self._schedule.set(self._kill, timeout)
        self._schedule.set(self._ask_rest, max(timeout - _LAST_CALL, timeout / 2 if timeout < 2 * _LAST_CALL else 0))
        self._account.stage = DRAINING
        self._number = signals.TERM
        self._asking = None
        self._schedule.set(self._ask, 0)

    def _ask(self) -> None:
        """Ask processes to end; then again and again those that are to be asked later."""
        from . import stragglers

        began = time.monotonic()
        self._schedule.set(self._ask, _LOOK_AGAIN)
        try:
            are_seen = self._asking is not None or stragglers.are_all_seen()
            if are_seen and self._asker().look():
                self._leave_filters()
                return
        except MemoryError:
            raise
        except Exception as error:  # not reached: for what nobody has foreseen
            self._log.warn_once(
                "undeliverable", f"cannot ask processes to end one by one: {reason(error)}", about="asking"
            )
            are_seen = False
        if not are_seen:
            self._schedule.cancel(self._ask)
            self._send_to_all(self._number)
            return
        stragglers.notice_gone(self._account)
        # A walk past thousands of processes takes its time, and nobody is reaped meanwhile.
        self._schedule.set(self._ask, max(_LOOK_AGAIN, 2 * (time.monotonic() - began)))

    def _leave_filters(self) -> None:
        """Go on once our output has been closed (`main.finish`)."""
        if self._account.stage == STAYING:
            self._drain()
            return
        from . import filters, stragglers  # noqa: F401 - before the report, which may give up root's rights to read it

        stragglers.notice_gone(self._account)
        self._account.forget_remaining()
        self._account.only_filters_from = self._account.stage
        self._account.stage = OVER

    def _asker(self) -> "Asking":
        if self._asking is None:
            from .asking import Asking

            self._asking = Asking(self._number, self._account, self._log)
        return self._asking

    def _ask_rest(self) -> None:
        """The drain timeout is about to end: ask all that have not been asked."""
        if self._asking:
            self._asking.ask_rest()

    def _send_to_all(self, number: int) -> None:
        from . import stragglers

        try:
            stragglers.send(self._log, number)
        except ProcessLookupError:  # not reached: the last one ended since we looked
            pass
        except Exception as error:  # not reached: for what nobody has foreseen
            name = signals.name_of(number)
            self._log.warn_once("undeliverable", f"cannot send {name} to what is left: {reason(error)}", signal=name)

    def _end_group(self) -> None:
        """Ask what the workload has left in its process group to end, if that was chosen."""
        number = self._settings.rewrite.get(signals.TERM, signals.TERM)
        if self._settings.ends_group and self._settings.forward_to == "group" and number:
            try:
                posix.kill(-self._account.pid, number)
            except OSError:  # not reached: the group is empty, or another user's
                pass

    def _kill(self) -> None:
        """The drain timeout has passed: kill what is left, readers last."""
        from . import stragglers

        now = time.monotonic()
        if self._account.stage == DRAINING:
            self._schedule.set(self._give_up, _AFTER_KILL)
            self._schedule.cancel(self._ask)
            self._account.stage = KILLING
            self._kills_readers = now + _READERS_AFTER
        self._schedule.set(self._kill, _KILL_AGAIN)
        others: "list[Process]" = []
        readers: "list[Process]" = []
        outsiders: "list[Process]" = []
        are_known = True
        try:
            if self._asking:
                tree = stragglers.Tree()
                others, readers = self._asking.split(tree)
                outsiders = tree.below(tree.outsiders)
                if not others and self._asking.are_filters(tree):
                    self._leave_filters()
                    return
            if now >= self._kills_readers:
                others, readers = others + readers, []
            # If /proc can be read and shows none, they have just ended.
            self._report_killed(others, not self._account.has_killed and not stragglers.are_all_seen())
            if readers:
                stragglers.kill_each(others + outsiders)
                return
        except Exception as error:
            are_known = False
            self._log.warn_once("undeliverable", f"cannot see what is left: {reason(error)}")
        try:
            stragglers.kill()
            if not are_known:
                self._account.note_all_killed()
        except Exception as error:
            if not isinstance(error, ProcessLookupError):  # some are left
                self._log.warn_once("undeliverable", f"cannot kill what is left: {reason(error)}", signal="SIGKILL")
        if posix.getpid() == 1:  # in one step. A walk may miss a process that is just being born.
            self._schedule.cancel(self._kill)

    def _report_killed(self, members: "list[Process]", are_hidden: bool) -> None:
        """Note that these processes are killed; report the new ones, and those that we may not signal.

        `are_hidden`: /proc does not show all.
        """
        from . import stragglers

        new = self._account.note_killed([one for one in members if one.pid != self._account.pid or not self._hangs])
        if not new and not are_hidden:
            return
        self._account.has_killed = True
        self._log.info("killing", f"sending SIGKILL to {stragglers.describe(new)}")
        for member in new:
            try:
                posix.kill(member.pid, 0)
            except PermissionError as error:  # without CAP_KILL
                stragglers.warn(self._log, member, signals.KILL, error)
            except OSError:  # not reached: it ended since we looked
                pass

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
            tree = stragglers.Tree()
            return [one for one in tree.below(tree.heads) if one.pid != self._account.pid or not self._hangs]
        except Exception:  # then the log and the report have no names
            return []


def _tell_outsiders() -> None:
    """Ask whatever is in our PID namespace to end, without a wait."""
    try:
        posix.kill(-1, signals.TERM)
    except OSError:  # ESRCH: there is nothing
        pass
