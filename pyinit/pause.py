"""No workload: reap for others, until we are asked to stop. Loaded only for ``--pause``.

As the pause container of a pod, which is there to own the namespaces, and whose PID 1 is everybody's init where they
share the PID namespace.
"""

import posix
import time

from .ending import stragglers as everyone
from .init import Init, Received
from .kernel import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import struct_siginfo

    from .options.settings import Options
    from .reporting.log import Log

_ENDS = (signals.TERM, signals.INT)
"""What a pause ends at. All other signals mean nothing to it."""


_LOOK = 0.05
"""Seconds between two looks whether all have gone."""


class Nothing:
    """In place of a workload: ourselves."""

    name = "pause"
    leads_session = takes_terminal = False

    def __init__(self) -> None:
        self.pid = posix.getpid()
        self.started = time.monotonic()


class Pause(Init):
    """An init whose workload is over once we are asked to stop; what follows is as ever."""

    __slots__ = ("_is_ending",)

    def __init__(self, chosen: "Options", log: "Log") -> None:
        super().__init__(Nothing(), chosen, log)
        self._is_ending = False
        self.reaper.wait_status = 0  # whoever ends is an orphan

    def _advance(self, more: bool) -> bool:
        return self._is_ending and super()._advance(more)

    def _nobody_is_left(self) -> bool:
        """Those of other containers are waited for, too: we are there for them. Nothing tells of their end."""
        if not self.reaper.is_childless or self._pid != 1:
            return self.reaper.is_childless
        if self._deadlines:
            self._deadlines.set(self._look_again, _LOOK)
        return everyone.is_alone()

    def _look_again(self) -> None:
        """A turn of the loop looks."""

    def _forward(self, info: "struct_siginfo") -> None:
        if info.si_signo not in _ENDS:
            return
        if self._is_ending:
            super()._forward(info)
            return
        self._is_ending = True
        self.reaper.ended = time.monotonic()
        self.first_stop = received = Received(info)
        name = received.name
        self._log.info(
            "signal",
            f"{name} {received.origin()}, and the pause is over",
            signal=name,
            sender_pid=received.pid,
            sender_uid=received.uid,
            delivered=None,
            to=None,
        )
        if self.shutdown:
            self.shutdown.stop()
