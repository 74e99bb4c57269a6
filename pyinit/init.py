"""The init: wait, forward or reap until the workload, and whoever it left behind, has ended."""

import posix
import time

from . import reaper
from .kernel import signals
from .reporting.log import INFO, TRACE, Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import struct_siginfo

    from .ending.stages import Shutdown
    from .kernel.cgroup import Memory
    from .options.settings import Options
    from .pause import Nothing
    from .reporting.counters import Page
    from .schedule import Deadlines
    from .workload.adopted import Adopted
    from .workload.job_control import Job
    from .workload.process import Workload

PATIENCE = 10
"""How many turns in a row may fail before that counts as not being able to go on."""

_SHORT_RUN = 0.005
"""Seconds after which a workload that still runs is none that is over at once, and the end is prepared for."""

_SOON = 0.05
"""Seconds from a signal until the counters are published. To do so at once keeps the processor from a workload that has
just got one (a third more time to its answer), and so does a timer that is the next one to go off."""

_RETRY = 1.0
"""Seconds until that is tried again where it failed."""

_STOPS_WITHIN = 1.0
"""Seconds within which a workload that is told to stop does, unless it catches the signal."""

_AFTER_END = 1.0
"""Seconds that zombies may keep us busy when the workload has ended, before those who live are asked to go."""


class Received:
    """A signal that came in."""

    __slots__ = ("_info", "known_origin", "pid", "time", "uid")

    def __init__(self, info: "struct_siginfo") -> None:
        self._info = info
        self.known_origin: "str | None" = None
        """What `origin` said, if it was asked; or what the sender says of itself."""
        self.time = time.monotonic()
        is_sent = signals.is_sent(info)
        self.pid = info.si_pid if is_sent else None
        """The sender's pid, 0 for one outside the PID namespace, None for the kernel; ``uid`` likewise."""
        self.uid = info.si_uid if is_sent else None
        if not signals.is_vouched_for(info):  # so its name is not looked up, and it must not pass for the truth
            self.known_origin = f"{_origin(self.pid, is_claimed=True)} (as the sender says)"

    @property
    def name(self) -> str:
        return signals.name_of(self._info.si_signo)

    def origin(self) -> str:
        """Where it came from, as the words behind its name. Looked up once: it takes /proc."""
        if self.known_origin is None:
            self.known_origin = _origin(self.pid)
        return self.known_origin


class Init:
    """Stands between the workload and the world until the end."""

    __slots__ = (
        "_chosen",
        "_deadlines",
        "_failed",
        "_has_begun",
        "_is_prepared",
        "_job",
        "_log",
        "_news",
        "_page",
        "_pid",
        "_prepare_at",
        "_stop_sent",
        "first_stop",
        "forwarded",
        "forwards",
        "memory",
        "reaper",
        "received",
        "shutdown",
        "workload",
    )

    def __init__(self, workload: "Workload | Adopted | Nothing", chosen: "Options", log: Log) -> None:
        self.workload = workload
        self._chosen = chosen
        self._log = log
        self._pid = posix.getpid()
        self._prepare_at = workload.started + _SHORT_RUN
        self._is_prepared = False
        self._deadlines: "Deadlines | None" = None
        self._job: "Job | None" = None
        self._stop_sent: "tuple[int, float] | None" = None
        """What we have last sent the workload to stop it for a while, and when."""
        accounts = chosen.exit_report == "always" or log.level >= INFO
        self.reaper = reaper.Reaper(workload.pid, log, chosen.warn_on_reap, accounts)
        self.shutdown: "Shutdown | None" = None
        self.memory: "Memory | None" = None
        self._page: "Page | None" = None
        self._failed = ""
        """What went wrong in the turn before, until it is told: when we sleep again, or are over. What goes wrong again
        and again ends us, and that is told."""
        self._has_begun = False
        """Whether one turn has gone well."""
        self._news = 0.0
        """When the first signal came since the counters were published; 0 if none has."""
        self.forwards = 0
        """How many signals have been passed on."""
        self.forwarded: "dict[int, tuple[int, Received]]" = {}
        """By the number that came in: how many of them, and the last."""
        self.received: "dict[int, Received]" = {}
        """What was passed on to the workload last, by the number that was delivered."""
        self.first_stop: "Received | None" = None
        """The first stop signal that was passed on to it."""

    def wait(self) -> int:
        """Forward signals and reap orphans until the end; return the exit status of the workload.

        Each turn reaps first, and whatever the signal was: standard signals are taken lowest number first, so a
        flood of SIGUSR1 would keep every SIGCHLD waiting. With nothing to do it sleeps in the kernel.
        """
        failures = 0
        while True:
            try:
                if self._turn():
                    break
                self._tell_failure()
                self._has_begun, failures = True, 0
            except MemoryError:
                continue  # others will be killed for want of memory; the init is the last that may go
            except ChildProcessError:
                raise
            except Exception as error:  # nobody knows what, but it is no reason to take the container down
                failures += 1
                if failures == 1:
                    self._failed = repr(error)
                if failures == PATIENCE:
                    if self.reaper.wait_status is not None:
                        break
                    if isinstance(error, OSError):
                        why = error.strerror or error
                        raise OSError(error.errno, f"cannot wait for children or signals: {why}") from None
                    raise
        self._tell_failure()
        if self.reaper.wait_status is not None:
            return reaper.exit_status(self.reaper.wait_status)
        # It hangs in the kernel. SIGKILL will end it, ours or the one that comes when PID 1 has gone; if we may not
        # send it, and are not PID 1, nothing has.
        return 125 if self._pid != 1 and self.killed_after is None else 128 + signals.KILL

    @property
    def killed_after(self) -> "float | None":
        """Seconds from the first stop signal until we killed the workload; None if that did not end it."""
        status = self.reaper.wait_status
        if self.shutdown is None or (status is not None and reaper.exit_status(status) != 128 + signals.KILL):
            return None
        return self.shutdown.killed_after

    def is_abnormal(self) -> bool:
        """Whether the end is none that anybody asked for."""
        status = self.reaper.wait_status
        if status is None or (self.memory and self.memory.kills()):
            return True
        if self.killed_after is not None or (self.shutdown and self.shutdown.has_killed):
            return True
        if not posix.WIFSIGNALED(status):
            return False
        number = posix.WTERMSIG(status)
        typed = self.workload.takes_terminal and number in (signals.INT, signals.QUIT)  # Ctrl-C passes us by
        return number not in self.received and not typed

    def _turn(self) -> bool:
        """Do what is to be done, and wait for the next signal or deadline; True at the end."""
        more = self.reaper.reap()
        if self.reaper.stopped_by and self.reaper.wait_status is None:
            self._stop_along()
        if self._advance(more):
            return True
        seconds = None if self._is_prepared else max(0.0, self._prepare_at - time.monotonic())
        if self._deadlines and self.shutdown:
            self._deadlines.meet()
            if self.shutdown.is_over:
                return True
            seconds = self._deadlines.remaining()
        info = self._wait(0 if more else seconds)
        if not self._is_prepared and time.monotonic() >= self._prepare_at:
            self._prepare()
        if info is None or signals.is_own_doing(info, self._pid):  # a line about the latter would raise the next one
            return False
        if self._log.level >= TRACE:
            self._log.trace("woken", f"woken by {signals.name_of(info.si_signo)}")
        if not signals.is_child_report(info):
            self._forward(info)
        return False

    def _wait(self, seconds: "float | None") -> "struct_siginfo | None":
        """Wait for a signal, `seconds` at most; let others see the counters when they have been old for a moment."""
        if self._page:
            rest = self._news + _SOON - time.monotonic() if self._news else 0.0
            if rest <= 0:
                self._page.update()
                self._news = 0.0
            elif seconds is None or rest < seconds:
                seconds = rest
        if self._has_begun:
            self._tell_failure()
        info = signals.wait(seconds)
        if info and not self._news:
            self._news = time.monotonic()
        return info

    def _tell_failure(self) -> None:
        if self._failed:
            self._log.error("failed", f"carrying on after {self._failed}")
            self._failed = ""

    def _advance(self, more: bool) -> bool:
        """Go on to the next stage of the end where that is due; True if there is none. `more` is what `reap` said."""
        if self.reaper.wait_status is None:
            return self.shutdown is not None and self.shutdown.is_over
        if self.shutdown is None:
            if self._nobody_is_left():
                return True  # a short run: none of what follows is needed, or loaded
            self._prepare()
            if self.shutdown is None:
                return True
        if self.shutdown.is_running:
            while more and time.monotonic() < self.reaper.ended + _AFTER_END:
                more = self.reaper.reap()
            self.return_terminal(is_over=False)
            self.shutdown.workload_ended(self._nobody_is_left())
        elif self._nobody_is_left():
            self.shutdown.all_ended()
        return self.shutdown.is_over

    def _nobody_is_left(self) -> bool:
        """Whether all have gone whom we wait for at the end: our children, and not those that came from outside."""
        return self.reaper.is_childless

    def return_terminal(self, is_over: bool) -> None:
        """Take back the terminal that the workload was given, when it has ended and (finally) when all is over."""
        if not (self.workload.takes_terminal or self._job) or (is_over and self._pid == 1):
            return
        try:
            if self.workload.leads_session:
                from .workload import session

                session.regain_terminal()
            else:
                from .workload import job_control as terminal

                terminal.take_back(self.workload.pid, is_over)
        except Exception as error:  # the files that it is loaded from have gone
            self._log.error("failed", f"cannot take the terminal back: {error!r}")

    def _stop_along(self) -> None:
        """The workload has been stopped: so are we, if that is what a terminal or a shell will see."""
        number, self.reaper.stopped_by = self.reaper.stopped_by, 0
        if self._job is None:
            from .workload.job_control import Job

            self._job = Job(self.workload.pid, self._log)
        sent, self._stop_sent = self._stop_sent, None
        self._job.stopped(number, bool(sent and sent[0] == number and time.monotonic() < sent[1] + _STOPS_WITHIN))

    def _prepare(self) -> None:
        """Load what the end takes: while the workload is busy, and not when there may be no memory for it.

        (All but the report, which only some ends need.) If that fails, it is tried again and again.
        """
        try:
            from .ending.stages import Shutdown
            from .kernel.cgroup import Memory
            from .schedule import Deadlines

            deadlines = Deadlines()
            shutdown = Shutdown(self.workload.pid, self._chosen, deadlines, self._log)
            memory = Memory()
            if self.workload.takes_terminal:
                from .workload import job_control as terminal  # noqa: F401
            if self._chosen.orphans == "terminate":
                from .ending.orphans import Orphans

                orphans = Orphans(self.workload.pid, self._chosen.drain_timeout, shutdown, deadlines, self._log)
                orphans.end()
            if self._chosen.zombie_watch:
                from .reporting.zombie_watch import Watch

                Watch(self._chosen.zombie_watch, shutdown, deadlines, self._log)
        except Exception as error:
            self._prepare_at = time.monotonic() + _RETRY
            self._log.error("failed", f"cannot prepare for the end, and carrying on all the same: {error!r}")
            return
        self._is_prepared = True
        self._publish()
        self._deadlines, self.shutdown, self.memory = deadlines, shutdown, memory
        self.reaper.accounts = True
        if self.first_stop:
            shutdown.stop()

    def _publish(self) -> None:
        """Let others see the counters. That is no reason for anything else to fail."""
        try:
            from .reporting.counters import Page

            page = Page(self, self._log)
            page.update()
            self._page = page
        except Exception as error:
            self._log.info("status", f"cannot publish the counters for pyinitctl: {error!r}")

    def _forward(self, info: "struct_siginfo") -> None:
        number = info.si_signo
        if self.workload.leads_session and number in signals.TERMINAL_STOPS:
            number = signals.STOP  # no job of a shell, it would not heed them (setpgid(2), "orphaned process group")
        number = self._chosen.rewrite.get(info.si_signo, number)
        is_stop = number != 0 and (info.si_signo in signals.STOP_SIGNALS or number in signals.STOP_SIGNALS)
        if is_stop and not self._is_prepared:
            self._prepare()
        if is_stop and self.shutdown:
            self.shutdown.stop()
        received = None
        if is_stop or self._log.level >= INFO:
            received = Received(info)
            received.origin()  # before it is forwarded: it may end the sender, too
        if info.si_signo == signals.CONT and self._job and self._job.is_stopped:
            self._job.resume()
        is_for_job = _is_for_job(info)
        stops_rest = is_for_job and self.reaper.wait_status is not None and number in signals.STOPS
        if stops_rest and not _can_be_continued():
            number = 0
        try:
            if number:
                self._send(number, is_for_job)
        except OSError as error:  # ESRCH, EPERM: the workload is ending, or belongs to somebody else by now
            name = signals.name_of(number)
            self._log.warning("undeliverable", f"cannot forward {name}: {error.strerror}", signal=name)
            return
        if received is None:  # not sooner: every microsecond before the workload has it counts
            received = Received(info)
        if number:
            self.forwards += 1
            self.forwarded[info.si_signo] = self.forwarded.get(info.si_signo, (0, None))[0] + 1, received
            if self.reaper.wait_status is None:
                self.received[number] = received
                if is_stop and self.first_stop is None:
                    self.first_stop = received
        if self._log.level >= INFO:
            self._tell(received, info.si_signo, number, is_for_job)
        if stops_rest and number:
            signals.stop(signals.TSTP, is_for_group=False)

    def _receivers(self, is_for_job: bool) -> str:
        """Who gets a signal now. The number of a workload that has ended may be another's."""
        if self.reaper.wait_status is not None or not (self.shutdown is None or self.shutdown.is_running):
            return "all"
        return "group" if is_for_job and self._chosen.forward_to == "child" else self._chosen.forward_to

    def _send(self, number: int, is_for_job: bool) -> None:
        if number in signals.STOPS and not is_for_job:
            self._stop_sent = number, time.monotonic()
        receivers = self._receivers(is_for_job)
        if receivers == "child":
            posix.kill(self.workload.pid, number)
        elif receivers == "group":
            posix.kill(-self.workload.pid, number)
        else:
            from .ending import stragglers as everyone

            if everyone.can_be_reached() or self.reaper.wait_status is not None:
                everyone.send(self._log, number)
            else:
                posix.kill(self.workload.pid, number)

    def _tell(self, received: Received, number: int, delivered: int, is_for_job: bool) -> None:
        to = self._receivers(is_for_job)
        if delivered == 0:
            outcome = "dropped"
        elif delivered == number:
            outcome = f"forwarded to {to}"
        else:
            outcome = f"forwarded as {signals.name_of(delivered)}"
        self._log.info(
            "signal",
            f"{received.name} {received.origin()}, {outcome}",
            signal=received.name,
            sender_pid=received.pid,
            sender_uid=received.uid,
            delivered=signals.name_of(delivered) if delivered else None,
            to=to if delivered else None,
        )


def _is_for_job(info: "struct_siginfo") -> bool:
    """Whether it comes from a terminal whose foreground we are, and so is for all of the job.

    From the kernel, that is, or (a stop) from another of our process group that passes it on, as we do.
    """
    if not signals.is_sent(info):
        return True
    if info.si_signo not in signals.TERMINAL_STOPS or not info.si_pid:
        return False
    try:
        return posix.getpgid(info.si_pid) == posix.getpgrp()
    except OSError:  # it has ended
        return False


def _can_be_continued() -> bool:
    from .workload import job_control as terminal

    return terminal.can_be_continued()


def _origin(sender: "int | None", is_claimed: bool = False) -> str:
    """The sender of a signal, as people know it; its name is told unless it only claims to be that one."""
    if sender is None:
        return "from the kernel"
    if sender == 0:
        return "from outside the container"
    name = None if is_claimed else reaper.name_of(sender)
    return f"from pid {sender} ({name})" if name else f"from pid {sender}"
