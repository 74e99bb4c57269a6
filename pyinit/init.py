"""The loop: reap, advance, wait, dispatch, until the workload and the processes that it left have ended."""

import errno
import posix
import time

from .ending.stages import Shutdown
from .forwarder import Forwarder
from .kernel import reserves, signals
from .reaper import Reaper
from .reporting.counters import Page
from .reporting.log import INFO, TRACE, reason
from .schedule import Schedule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import struct_siginfo

    from .account import Account, Ending
    from .options.settings import Settings
    from .reporting.log import Log
    from .workload.adopted import Adopted
    from .workload.nothing import Nothing
    from .workload.process import Workload

    AnyWorkload = Workload | Adopted | Nothing

PATIENCE = 10
"""How many turns in a row may fail before we cannot go on."""

_SHORT_RUN = 0.005
"""Seconds. A workload that still runs after this is not a one-shot command."""

_SOON = 0.05
"""Seconds from a signal until the counters are published: at once, the workload's answer took a third longer."""

_BREATH = 0.01
"""Seconds that we leave the machine alone when there is no memory."""

_AFTER_END = 1.0
"""Seconds that zombies may keep us busy when the workload has ended, before what is alive is asked to end."""


class Init:
    """Stands between the workload and the world until the end."""

    __slots__ = (
        "_failure",
        "_forwarder",
        "_has_waited",
        "_last_patience",
        "_log",
        "_page",
        "_pid",
        "_reaper",
        "_schedule",
        "_shutdown",
        "_suspends",
        "_workload",
        "account",
    )

    def __init__(
        self, workload: "AnyWorkload", settings: "Settings", account: "Account", counters: int, log: "Log"
    ) -> None:
        """`counters` is the descriptor of the file for them, -1 if there is none."""
        self._workload = workload
        self._suspends = settings.persona.suspends
        self._log = log
        self._page = Page(account, counters, log)
        self._pid = posix.getpid()
        self._has_waited = False
        self._failure = ""  # not reported yet
        self.account = account
        self._schedule = Schedule()
        self._reaper = Reaper(account, log, settings.warn_on_reap)
        self._shutdown = Shutdown(account, settings, self._schedule, log)
        self._forwarder = Forwarder(workload, settings, account, self._shutdown, log)
        self._last_patience = settings.drain_timeout + _AFTER_END
        """Seconds from the end of the workload until we exit even if there is no memory to do anything."""
        self._schedule.set(self._prepare, _SHORT_RUN)
        if settings.exit_report == "always" or log.level >= INFO:
            self._reaper.measure_usage()
        if settings.orphans == "terminate":
            from .ending.orphans import Orphans

            Orphans(account, settings.drain_timeout, self._schedule, log)
        if settings.zombie_watch:
            from .reporting.zombie_watch import Watch

            Watch(settings.zombie_watch, account, self._schedule, log)

    def run(self) -> "Ending":
        """Forward signals and reap orphans until the end; return how the workload ended.

        All signals are blocked, and taken from the kernel one by one, so that each is forwarded, real-time ones with
        each instance; lowest number first: a flood of SIGUSR1 would keep every SIGCHLD waiting, so each turn reaps.

        Raises:
            OSError: we cannot wait for children or signals.
        """
        failures = 0
        while not self.account.is_over:
            try:
                self._turn()
                failures = 0
            except MemoryError:  # an init must not be the process that gives up
                if reserves.release_memory():
                    continue
                if self.account.ending is not None and time.monotonic() > self.account.ended + self._last_patience:
                    break  # not reached: takes memory that stays exhausted
                time.sleep(_BREATH)
            except ChildProcessError:  # not reached: as in `_advance`
                raise
            except Exception as error:  # unforeseen, but no reason to take the container down
                self._forwarder.undelivered = None
                failures += 1
                self._failure = self._failure or reason(error)
                if failures == PATIENCE:
                    if self.account.ending is not None:
                        self._log.error("failed", f"cannot end what is left: {self._failure}")
                        break
                    raise OSError(errno.EIO, f"cannot wait for children or signals: {reason(error)}") from None
        if self._pid != 1:
            try:
                self._return_terminal(is_over=True)
            except Exception as error:  # the status is still the workload's
                self._log.error("failed", f"cannot take the terminal back: {reason(error)}")
        # A workload that hangs in the kernel ends by SIGKILL: ours, or the one that comes when PID 1 has exited.
        is_left = self._pid != 1 and self.account.stop_timeout_after is None
        return self.account.ending or self.account.end_workload(None, 125 if is_left else 128 + signals.KILL)

    def _turn(self) -> None:
        """Reap, run what is due, and sleep in the kernel until the next signal or deadline."""
        more = self._reaper.reap()
        if self._reaper.stopped_by and self.account.ending is None:
            from .workload import job_control

            number, self._reaper.stopped_by = self._reaper.stopped_by, 0
            job_control.stopped(number, self.account, self._suspends, self._log)
        self._advance(more)
        self._schedule.run_due()
        if self._failure and self._has_waited:  # and now we carry on: a failure that is the end says so itself
            self._log.error("failed", f"carrying on after {self._failure}")
            self._failure = ""
        if self.account.is_over:
            return
        info = self._forwarder.undelivered or signals.wait(0 if more else self._schedule.remaining())
        self._has_waited = True
        if info:
            self._dispatch(info)

    def _advance(self, more: bool) -> None:
        """Enter the next stage of the shutdown if it is due. `more` is what `reap` returned."""
        if self.account.ending is None:
            if self._reaper.is_childless:  # not reached: takes a debugger that reaps our child
                raise ChildProcessError(errno.ECHILD, "the workload is gone, and another has reaped it")
        elif self.account.is_running:
            while more and time.monotonic() < self.account.ended + _AFTER_END:
                more = self._reaper.reap()  # not reached: takes more zombies than one turn reaps, at that moment
            self._return_terminal(is_over=False)
            self._shutdown.workload_ended(self._none_is_left())
        elif self._none_is_left():
            self._shutdown.all_ended()

    def _none_is_left(self) -> bool:
        """Whether all processes that we wait for at the end have ended. Those from outside do not count."""
        return self._reaper.is_childless

    def _dispatch(self, info: "struct_siginfo") -> None:
        """Act on a signal, unless our own writing has raised it: a line about that would raise the next one."""
        if not signals.is_self_inflicted(info, self._pid):
            if self._log.level >= TRACE:
                self._log.trace("woken", f"woken by {signals.name_of(info.si_signo)}")
            if not signals.is_child_report(info):
                self._forward(info)
        self._schedule.set_unless_set(self._page.update, _SOON)

    def _return_terminal(self, is_over: bool) -> None:
        if self._workload.takes_terminal or self.account.has_been_stopped:
            from .workload import job_control

            job_control.return_terminal(self.account.pid, self._workload.leads_session, is_over, self._log)

    def _forward(self, info: "struct_siginfo") -> None:
        self._forwarder.forward(info)

    def _prepare(self) -> None:
        """Load the modules that the end of the container needs, while the workload is busy."""
        from .kernel.cgroup import Memory
        from .reporting import exit_report  # noqa: F401

        signals.name_of(signals.TERM)  # makes the table of names
        self._reaper.measure_usage()
        self.account.memory = Memory()
        try:
            import select  # noqa: F401 - an extension module that looking at pipes takes (`kernel.inputs`)
        except Exception:  # an interpreter without it, no descriptor, no memory
            pass
        self._page.update()
