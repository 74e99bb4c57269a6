"""The init: wait, forward or reap until the workload has ended."""

import posix

from . import procfs, reaper, signals
from .log import INFO, TRACE, Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import struct_siginfo

    from .options import Options

PATIENCE = 10
"""How many turns in a row may fail before that counts as not being able to go on."""


class Init:
    """Stands between the workload and the world until the workload has ended."""

    __slots__ = ("_chosen", "_log", "_pid", "_reaper", "_target", "_workload")

    def __init__(self, pid: int, chosen: "Options", log: Log) -> None:
        self._workload = pid
        self._chosen = chosen
        self._log = log
        self._pid = posix.getpid()
        # What kill(2) is given to reach whom signals are forwarded to; None if that takes more than one call.
        if chosen.forward_to == "child":
            self._target: "int | None" = pid
        elif chosen.forward_to == "group":
            self._target = -pid
        else:
            self._target = -1 if self._pid == 1 else None
        self._reaper = reaper.Reaper(pid, log, chosen.warn_on_reap)

    def wait(self) -> int:
        """Forward signals and reap orphans until the workload has ended; return its exit status.

        Each turn reaps first, and whatever the signal was: standard signals are taken lowest number first, so a
        flood of SIGUSR1 would keep every SIGCHLD waiting. With nothing to do it sleeps in the kernel.
        """
        failures = 0
        while self._reaper.status is None:
            try:
                self._turn()
                failures = 0
            except MemoryError:
                continue  # others will be killed for want of memory; the init is the last that may go
            except ChildProcessError:
                raise
            except Exception as error:  # nobody knows what, but it is no reason to take the container down
                failures += 1
                if failures == PATIENCE:
                    raise
                self._log.error("failed", f"carrying on after {error!r}")
        return self._reaper.status

    def _turn(self) -> None:
        more = self._reaper.reap()
        if self._reaper.status is not None:
            return
        info = signals.wait(0 if more else None)
        if info is None or signals.is_own_doing(info, self._pid):  # a line about the latter would raise the next one
            return
        if self._log.level >= TRACE:
            self._log.trace("woken", f"woken by {signals.name_of(info.si_signo)}")
        if not signals.is_child_report(info):
            self._forward(info)

    def _forward(self, info: "struct_siginfo") -> None:
        number = self._chosen.rewrite.get(info.si_signo, info.si_signo)
        try:
            if number and self._target is None:
                self._send_to_descendants(number)
            elif number and self._target is not None:
                posix.kill(self._target, number)
        except OSError as error:  # ESRCH, EPERM: the workload is ending, or belongs to somebody else by now
            name = signals.name_of(number)
            self._log.warning("undeliverable", f"cannot forward {name}: {error.strerror}", signal=name)
            return
        if self._log.level >= INFO:
            self._tell(info, number)

    def _send_to_descendants(self, number: int) -> None:
        """What ``kill(-1)`` does for PID 1. Here are others beside us, and they are not ours to signal."""
        family = procfs.descendants(self._pid)
        if not family:  # no /proc
            posix.kill(self._workload, number)
        for member in family:
            try:
                procfs.send(member, number)
            except ProcessLookupError:  # it has ended meanwhile
                continue
            except OSError as error:
                self._log.warning("undeliverable", f"cannot signal pid {member.pid}: {error.strerror}")

    def _tell(self, info: "struct_siginfo", number: int) -> None:
        name = signals.name_of(info.si_signo)
        if number == 0:
            outcome = "dropped"
        elif number == info.si_signo:
            outcome = f"forwarded to {self._chosen.forward_to}"
        else:
            outcome = f"forwarded as {signals.name_of(number)}"
        self._log.info(
            "signal",
            f"{name} {_origin(info)}, {outcome}",
            signal=name,
            sender_pid=info.si_pid if signals.is_sent(info) else None,
            sender_uid=info.si_uid if signals.is_sent(info) else None,
            delivered=signals.name_of(number) if number else None,
            to=self._chosen.forward_to if number else None,
        )


def _origin(info: "struct_siginfo") -> str:
    """Where a signal came from, as the words behind its name."""
    if not signals.is_sent(info):
        return "from the kernel"
    if info.si_pid == 0:
        return "from outside the container"
    name = procfs.name_of(info.si_pid)
    return f"from pid {info.si_pid} ({name})" if name else f"from pid {info.si_pid}"
