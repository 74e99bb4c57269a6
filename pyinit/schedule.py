"""What is to be done later, and when: the loop sleeps until a signal comes or the nearest of these."""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Action = Callable[[], None]


class Deadlines:
    """Actions, each with its time on the monotonic clock. With none, nothing wakes pyinit but a signal."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: "dict[Action, float]" = {}

    def set(self, action: "Action", seconds: float) -> None:
        """Have `action` done in so many seconds; its earlier time no longer counts."""
        self._times[action] = time.monotonic() + seconds

    def cancel(self, action: "Action") -> None:
        """Have `action` not done, if it was to be."""
        self._times.pop(action, None)

    def remaining(self) -> "float | None":
        """Seconds until the nearest one, 0 if it has passed; None if there is none."""
        return max(0.0, min(self._times.values()) - time.monotonic()) if self._times else None

    def meet(self) -> None:
        """Do what is due. An action that fails stays due, one that sets itself anew comes again."""
        if not self._times:
            return
        now = time.monotonic()
        for action, due in list(self._times.items()):
            if due <= now and self._times.get(action) == due:
                action()
                if self._times.get(action) == due:
                    del self._times[action]
