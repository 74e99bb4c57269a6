"""The counters that pyinitctl reads: a memfd that PID 1 keeps up to date, found by its name in /proc/1/fd.

Its content is text:

    pyinit-status LAYOUT VERSION LENGTH SEQUENCE
    {"pid": 1, ...}
    SEQUENCE

LAYOUT is the version of this layout, VERSION that of pyinit, LENGTH the number of valid bytes from the start; the first
line stays as it is in every layout. The object is one line of JSON; the reader in `ctl` documents its fields. SEQUENCE
is written twice since nothing is locked: a writer goes from front to back, so a reader that takes the last line first,
then the object, and then the first line has read one state if both numbers are the same.

Another process of the same user can write there, too, and keep us waiting for as long as that takes: it is a file of
PID 1, which such a process could also trace. So a reader trusts nothing, and a writer only writes.
"""

import errno
import posix

from ..version import __version__
from . import COUNTERS
from .log import quoted, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..account import Account, Received
    from .log import Log

LAYOUT = 1

_HEAD = 80
"""Bytes of the first line, padded with blanks."""


class Page:
    """What pyinit publishes about itself."""

    __slots__ = ("_account", "_fd", "_log", "_prefix", "_published", "_sequence")

    def __init__(self, account: "Account", fd: int, log: "Log") -> None:
        """Publish in the file `fd`, or nowhere if that is -1."""
        self._fd = fd
        self._account = account
        self._log = log
        self._sequence = 0
        self._published: object = None
        """The numbers that were written last."""
        self._prefix = (
            f'{{"pid": {posix.getpid()}, "workload": {account.pid}, "name": {quoted(account.name)}, '
            f'"started": {account.started:.3f}'
        )

    def update(self) -> None:
        """Write the numbers if one of them has changed. Where that fails, the old ones stay until the next change."""
        account = self._account
        ending = account.ending
        now = account.orphans, account.forwards, ending, account.stage, self._log.lost
        if now == self._published or self._fd < 0:
            return
        self._published = now
        self._sequence += 1
        try:
            forwarded = ", ".join([_signal(number, *last) for number, last in account.forwarded.items()])
            body = (
                f'{self._prefix}, "stage": "{account.stage}", '
                f'"wait_status": {quoted(ending.wait_status if ending else None)}, '
                f'"ended": {account.ended:.3f}, "orphans_reaped": {account.orphans}, '
                f'"log_lines_dropped": {self._log.lost}, "signals": [{forwarded}]}}'
            )
            text = f"{body}\n{self._sequence}\n".encode()
            head = f"{COUNTERS} {LAYOUT} {__version__} {_HEAD + len(text)} {self._sequence}".ljust(_HEAD - 1)
            text = f"{head}\n".encode() + text
            if posix.pwrite(self._fd, text, 0) < len(text):
                raise OSError(errno.EFBIG, posix.strerror(errno.EFBIG))
        except (OSError, MemoryError) as error:  # ENOMEM, EFBIG: the limits of the workload are ours, too
            self._log.warn_once("status", f"cannot publish the counters for pyinitctl: {reason(error)}")


def _signal(number: int, count: int, received: "Received") -> str:
    """A forwarded signal: its number, how often, the last sender (pid, uid, in words) and when."""
    origin = received.origin if received.sender_name or not received.is_vouched_for else None
    values = [quoted(value) for value in (number, count, received.pid, received.uid, origin)]
    return f"[{', '.join(values)}, {received.time:.3f}]"
