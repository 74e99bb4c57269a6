"""Deadlines: the loop sleeps until a signal comes or the nearest of these."""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Action = Callable[[], None]


_AFTER_WANT = 0.05
"""Seconds until an action that lacked memory is run again: longer than the loop rests then, so that signals get their
turn."""

_AFTER_FAILURE = 1.0
"""Seconds until an action that failed is run again. Failing in every turn would end the loop."""


class Schedule:
    """Actions, each with its time on the monotonic clock. While there are none, only a signal wakes pyinit."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: "dict[Action, float]" = {}

    def set(self, action: "Action", seconds: float) -> None:
        """Run `action` in `seconds`; its earlier time no longer counts."""
        self._times[action] = time.monotonic() + seconds

    def set_unless_set(self, action: "Action", seconds: float) -> None:
        """The same, but an earlier time stays."""
        if action not in self._times:
            self.set(action, seconds)

    def cancel(self, action: "Action") -> None:
        """Do not run `action`, if it was to be run."""
        self._times.pop(action, None)

    def remaining(self) -> "float | None":
        """Seconds until the nearest deadline, 0 if it has passed; None if there is none."""
        return max(0.0, min(self._times.values()) - time.monotonic()) if self._times else None

    def run_due(self) -> None:
        """Run what is due. An action that fails is run again: soon if it lacked memory, or else a second later.

        Raises:
            Exception: what one of them raised. All others have been run.
        """
        if not self._times:
            return
        now = time.monotonic()
        soon = now + _AFTER_WANT
        failure: "Exception | None" = None
        for action, due in list(self._times.items()):
            if due <= now and self._times.get(action) == due:
                try:
                    action()
                except MemoryError as error:
                    failure = error
                    if self._times.get(action) == due:
                        self._times[action] = soon
                    continue
                except Exception as error:
                    failure = error
                    self.set(action, _AFTER_FAILURE)
                if self._times.get(action) == due:
                    del self._times[action]
        if failure:
            raise failure
