"""The counters that pyinitctl reads: a memfd that PID 1 keeps up to date, found by its name in /proc/1/fd.

What it holds, as text:

    pyinit-status LAYOUT VERSION LENGTH SEQUENCE
    {"pid": 1, ...}
    SEQUENCE

LAYOUT is the version of this layout, VERSION that of pyinit, LENGTH how many bytes count, from the start to the end;
the first line stays as it is in every layout. The object is one line of JSON; `ctl.counters` tells what is in it.
SEQUENCE is written twice since nobody locks: a writer goes from front to back, so a reader that takes the last line
first, then the object, and then the first line has read one state if both numbers are the same.

Another process of the same user can write there, too, and keep us waiting for as long as that takes: it is the file
of PID 1, which such a process could also trace. So a reader believes nothing, and a writer only writes.
"""

import errno
import posix

from ..version import __version__
from .log import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..init import Init, Received
    from .log import Log

NAME = "pyinit-status"
LAYOUT = 1

_HEAD = 80
"""Bytes of the first line, filled up with blanks."""

_NOEXEC_SEAL = 8
"""``MFD_NOEXEC_SEAL``, of Linux 6.3 and later, which may be set up to refuse a memfd without it (memfd_create(2))."""


class Page:
    """What pyinit tells of itself."""

    __slots__ = ("_always", "_fd", "_has_failed", "_init", "_log", "_sequence", "_told")

    def __init__(self, init: "Init", log: "Log") -> None:
        """Open the memfd.

        Raises:
            OSError: the kernel, or a sandbox, has none for us.
            AttributeError: the interpreter was built without.
        """
        try:
            self._fd = posix.memfd_create(NAME, posix.MFD_CLOEXEC | _NOEXEC_SEAL)
        except OSError:
            self._fd = posix.memfd_create(NAME, posix.MFD_CLOEXEC)
        try:
            for fd in posix.pipe2(posix.O_CLOEXEC):  # what the log and a look into /proc need goes before
                posix.close(fd)
            posix.fchmod(self._fd, 0o444)
        except OSError:
            posix.close(self._fd)
            raise
        self._init = init
        self._log = log
        self._has_failed = False
        self._sequence = 0
        self._told: object = None
        """The numbers that were written last."""
        workload = init.workload
        self._always = (
            f'{{"pid": {posix.getpid()}, "workload": {workload.pid}, "name": {quoted(workload.name)}, '
            f'"started": {workload.started:.3f}'
        )

    def update(self) -> None:
        """Write the numbers down if one of them has changed. Where that fails they stay old until the next does."""
        init = self._init
        try:
            orphans, wait_status, dropped = init.reaper.orphans, init.reaper.wait_status, self._log.lost
            stage = init.shutdown.stage if init.shutdown else "running"
            now = orphans, init.forwards, wait_status, stage, dropped
            if now == self._told:
                return
            self._told = now
            self._sequence += 1
            forwarded = ", ".join([_signal(number, *told) for number, told in init.forwarded.items()])
            body = (
                f'{self._always}, "stage": "{stage}", "wait_status": {quoted(wait_status)}, '
                f'"ended": {init.reaper.ended:.3f}, "orphans_reaped": {orphans}, "log_lines_dropped": {dropped}, '
                f'"signals": [{forwarded}]}}'
            )
            text = f"{body}\n{self._sequence}\n".encode()
            head = f"{NAME} {LAYOUT} {__version__} {_HEAD + len(text)} {self._sequence}".ljust(_HEAD - 1)
            text = f"{head}\n".encode() + text
            if posix.pwrite(self._fd, text, 0) < len(text):
                raise OSError(errno.EFBIG, posix.strerror(errno.EFBIG))
        except (OSError, MemoryError) as error:  # ENOMEM, EFBIG: the limits of the workload are ours, too
            if not self._has_failed:
                self._has_failed = True
                self._log.info("status", f"cannot publish the counters for pyinitctl: {error!r}")


def _signal(number: int, count: int, received: "Received") -> str:
    """A signal that was passed on: its number, how often, who sent it last (pid, uid, in words) and when."""
    values = [quoted(value) for value in (number, count, received.pid, received.uid, received.known_origin)]
    return f"[{', '.join(values)}, {received.time:.3f}]"
