"""The init: start the workload, then wait, forward or reap until it has ended."""

import posix

from . import options, procfs, reaper, signals, workload
from .log import INFO, TRACE, Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import struct_siginfo
    from typing import NoReturn

FAILED = 125
"""The exit status that says: not the workload failed, but pyinit."""


def main(words: "list[str]", newly_blocked: "set[int]") -> "NoReturn":
    """Run as the init of the command line `words`, and end the process with the right status.

    `newly_blocked` is what `signals.block` returned, called before anything else was done. The end is
    ``_exit``: there is nothing that an interpreter's tidy end could add, and it would cost a millisecond.
    """
    log = Log()
    try:
        chosen = options.parse(words, posix.environ)
        if chosen.show:
            from . import about

            signals.unblock(newly_blocked)
            about.show(chosen.show)
            posix._exit(0)
        log.configure(chosen.verbosity, chosen.json)
        status = run(chosen, newly_blocked, log)
    except options.UsageError as error:
        log.error("usage", f"{error} (pyinit --help tells the usage)")
        status = FAILED
    except workload.CannotExecute as error:
        log.error("exec", str(error))
        status = error.exit_status
    except Exception as error:  # whatever it is: one line, and a status that says who failed
        log.error("failed", f"cannot go on: {error.strerror if isinstance(error, OSError) else repr(error)}")
        status = FAILED
    posix._exit(status)


def run(chosen: options.Options, newly_blocked: "set[int]", log: Log) -> int:
    """Start the workload and stay with it; return its exit status, remapped as asked for."""
    ignore_children = signals.use_defaults()
    _prepare_orphans(chosen, log)
    pid = workload.start(chosen.argv, newly_blocked, ignore_children, log)
    workload.let_go(log)
    log.info("started", f"started {chosen.argv[0]} as pid {pid}", pid=pid)
    status = Init(pid, chosen, log).wait()
    log.info("ended", f"{chosen.argv[0]} (pid {pid}) ended with status {status}", pid=pid, status=status)
    return chosen.exit_remap.get(status, status)


def _prepare_orphans(chosen: options.Options, log: Log) -> None:
    """See to it that orphans come to us, and that we hear of our parent's death if that was asked for.

    Before the workload exists, since it could leave orphans at once. What cannot be had is a warning: everything
    else still works.
    """
    if posix.getpid() != 1:
        try:
            from . import prctl

            prctl.become_subreaper()
        except (OSError, ImportError) as error:
            log.warning("subreaper", f"cannot become the child subreaper, orphans go elsewhere: {error}")
    if chosen.parent_death_signal:
        try:
            from . import prctl

            prctl.set_parent_death_signal(chosen.parent_death_signal)
        except (OSError, ImportError) as error:
            log.warning("parent-death-signal", f"cannot ask for the signal of the parent's death: {error}")


class Init:
    """Stands between the workload and the world until the workload has ended."""

    __slots__ = ("_chosen", "_log", "_pid", "_reaper", "_workload")

    def __init__(self, pid: int, chosen: options.Options, log: Log) -> None:
        self._workload = pid
        self._chosen = chosen
        self._log = log
        self._pid = posix.getpid()
        self._reaper = reaper.Reaper(pid, log, chosen.warn_on_reap)

    def wait(self) -> int:
        """Forward signals and reap orphans until the workload has ended; return its exit status.

        Each turn reaps first, and whatever the signal was: standard signals are taken lowest number first, so a
        flood of SIGUSR1 would keep every SIGCHLD waiting. With nothing to do it sleeps in the kernel.
        """
        while self._reaper.status is None:
            try:
                self._turn()
            except MemoryError:
                continue  # others will be killed for want of memory; the init is the last that may go
        return self._reaper.status

    def _turn(self) -> None:
        more = self._reaper.reap()
        if self._reaper.status is not None:
            return
        info = signals.wait(0 if more else None)
        if self._log.level >= TRACE:
            self._log.trace("woken", f"woken by {signals.name_of(info.si_signo) if info else 'nothing: more to reap'}")
        if info is not None and not signals.is_child_report(info) and not signals.is_own_doing(info, self._pid):
            self._forward(info)

    def _forward(self, info: "struct_siginfo") -> None:
        number = self._chosen.rewrite.get(info.si_signo, info.si_signo)
        try:
            if number:
                self._send(number)
        except OSError as error:  # ESRCH, EPERM: the workload is ending, or belongs to somebody else by now
            name = signals.name_of(number)
            self._log.warning("undeliverable", f"cannot forward {name}: {error.strerror}", signal=name)
            return
        if self._log.level >= INFO:
            self._tell(info, number)

    def _send(self, number: int) -> None:
        if self._chosen.forward_to == "child":
            posix.kill(self._workload, number)
        elif self._chosen.forward_to == "group":
            posix.kill(-self._workload, number)
        elif self._pid == 1:
            posix.kill(-1, number)
        else:
            self._send_to_descendants(number)

    def _send_to_descendants(self, number: int) -> None:
        """What ``kill(-1)`` is to PID 1. There are others beside us here, and they are not ours to signal."""
        family = procfs.descendants(self._pid)
        if not family:  # no /proc
            posix.kill(self._workload, number)
        for member in family:
            try:
                procfs.send(member, number)
            except OSError as error:
                self._log.debug("undeliverable", f"cannot signal pid {member.pid}: {error.strerror}")

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
