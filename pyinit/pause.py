"""No workload: reap for others, until we are asked to stop (``--pause``).

As the pause container of a pod, which owns the namespaces, and whose PID 1 is the init of all containers where they
share the PID namespace.
"""

from .account import Account
from .forwarder import look_up, report
from .init import Init
from .kernel import signals
from .workload.nothing import Nothing
from .workload.process import let_go

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import struct_siginfo

    from .options.settings import Settings
    from .reporting.log import Log

_ENDS = (signals.TERM, signals.INT)
"""What ends a pause. All other signals are ignored."""

_LOOK = 0.05
"""Seconds between two checks whether all processes have ended."""


class Pause(Init):
    """An init whose workload ends when we are asked to stop; the rest is unchanged."""

    __slots__ = ()

    def __init__(self, settings: "Settings", counters: int, log: "Log") -> None:
        let_go()
        workload = Nothing()
        account = Account(workload.pid, workload.name, workload.started, False, settings.exit_remap)
        super().__init__(workload, settings, account, counters, log)

    def _advance(self, more: bool) -> None:
        if self.account.ending is not None:
            super()._advance(more)

    def _none_is_left(self) -> bool:
        """Wait for the processes of other containers, too: this init serves them. Nothing announces their end."""
        if not self._reaper.is_childless or self._pid != 1:
            return self._reaper.is_childless
        from .ending import stragglers

        self._schedule.set(self._look_again, _LOOK)
        return stragglers.is_alone()

    def _look_again(self) -> None:
        """Nothing to do: the turn of the loop that follows looks."""

    def _forward(self, info: "struct_siginfo") -> None:
        if info.si_signo not in _ENDS:
            return
        if self.account.ending is not None:
            super()._forward(info)
            return
        self._forwarder.undelivered = info
        self.account.first_stop = received = look_up(info)
        self._shutdown.stop(info, is_dropped=False)
        self.account.end_workload(0)
        self._forwarder.undelivered = None
        report(self._log, received, "and the pause is over")
