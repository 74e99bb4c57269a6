"""A signal that came in: planned, delivered, accounted for."""

import posix
import time

from .account import Received
from .kernel import reserves, signals
from .reporting.log import INFO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import struct_siginfo

    Plan = tuple[int, str, bool]
    """The number to deliver (0: the signal is dropped), to ``child``, ``group`` or ``all``; and whether that asks for
    the end."""

    from .account import Account
    from .ending.stages import Shutdown
    from .options.settings import Settings
    from .reporting.log import Log
    from .workload.adopted import Adopted
    from .workload.nothing import Nothing
    from .workload.process import Workload


class Forwarder:
    """Forwards signals to the workload, or to what is left of it."""

    __slots__ = ("_account", "_log", "_plans", "_settings", "_shutdown", "_workload", "undelivered")

    def __init__(
        self,
        workload: "Workload | Adopted | Nothing",
        settings: "Settings",
        account: "Account",
        shutdown: "Shutdown",
        log: "Log",
    ) -> None:
        self._workload = workload
        self._settings = settings
        self._account = account
        self._shutdown = shutdown
        self._log = log
        self._plans: "dict[int, Plan]" = {}
        """For signals that another process sends while the workload runs. Each is made once: it keeps the time from the
        wake-up to kill(2) short."""
        self.undelivered: "struct_siginfo | None" = None
        """What has been taken from the kernel, and lacked memory: forward it again, or it is lost."""
        if log.level >= INFO:
            signals.name_of(signals.TERM)  # makes the table of names, for which there may be no memory later

    def forward(self, info: "struct_siginfo") -> None:
        """Deliver a signal as was asked for, and note it."""
        self.undelivered = info
        came = info.si_signo
        resumes = came == signals.CONT and self._account.is_suspended and self._account.ending is None
        is_for_job = resumes or _is_for_job(info)
        number, receivers, is_stop = plan = self._plan(came, is_for_job)
        # Looked up before it is delivered: that may end the sender, too.
        received = look_up(info) if is_stop or self._log.level >= INFO else None
        if is_stop:
            self._shutdown.stop(info, is_dropped=not number)
        if resumes:
            self._resume(number)
        if number in signals.STOPS and not is_for_job:
            self._account.stop_sent = number, time.monotonic()
        try:
            if number and not self._deliver(info, number, receivers, is_stop):
                number, plan = 0, (0, "", True)
        except OSError as error:  # ESRCH, EPERM: the workload is ending, or has become another user's
            self.undelivered = None
            name = signals.name_of(number)
            reason = error.strerror or str(error)
            self._log.warn_once("undeliverable", f"cannot forward {name}: {reason}", about=reason, signal=name)
        else:
            self.undelivered = None
            received = received or received_from(info)
            before = self._account.delivered.get(number)
            self._account.add_signal(received, number, is_stop)
            if before is not None:
                received.was_handled = before.was_handled
            elif number and not is_stop:  # the first of its kind: a look at each would slow the workload's answers
                received.was_handled = _is_handled(self._workload.pid, number)
            if self._log.level >= INFO:
                self._report(received, plan)
        if came in signals.TERMINAL_STOPS:
            self._stop_along(number, is_for_job)

    def _plan(self, came: int, is_for_job: bool) -> "Plan":
        is_running = self._account.is_running
        key = came if is_running and not is_for_job else 0
        if key in self._plans:
            return self._plans[key]
        # Now: without memory for it, a signal that is out would not be told of.
        from .kernel import procfs  # noqa: F401

        number = came
        if self._workload.leads_session and came in signals.TERMINAL_STOPS:
            number = signals.STOP  # an orphaned process group ignores the others (setpgid(2))
        number = self._settings.rewrite.get(came, number)
        receivers = self._settings.forward_to
        if not is_running:  # the workload's pid may be another process's by now
            receivers = "all"
            if is_for_job and number in signals.STOPS:
                from .workload import job_control

                number = number if job_control.can_be_continued() else 0
        elif is_for_job and receivers == "child":
            receivers = "group"
        plan = number, receivers, came in signals.STOP_SIGNALS or number in signals.STOP_SIGNALS
        if key:
            self._plans[key] = plan
        return plan

    def _deliver(self, info: "struct_siginfo", number: int, receivers: str, is_stop: bool) -> bool:
        """Send it, and let hear a stop signal what is stopped; False if it is not needed.

        Memory may run out before it is sent: then it is still `undelivered`. (A walk that sends it to one process after
        another starts again.)

        Raises:
            OSError: nobody got it.
        """
        pid = self._workload.pid
        if not self._account.is_running:
            return self._shutdown.pass_on(info, number, is_stop)
        if receivers == "child":
            posix.kill(pid, number)
            self.undelivered = None
            if is_stop and self._may_be_stopped():
                from .kernel import procfs

                if procfs.is_ours():
                    procfs.let_hear(procfs.process(pid), number)
                elif number in signals.STOP_SIGNALS:
                    posix.kill(pid, signals.CONT)
            return True
        from .ending import stragglers
        from .kernel import procfs

        group = pid if receivers == "group" else None
        members = stragglers.members(group) if is_stop else []
        if group:
            posix.kill(-group, number)
        elif stragglers.can_be_reached():
            stragglers.send(self._log, number)
        else:
            posix.kill(pid, number)  # not reached: with --forward-to=all, not as PID 1, without /proc
        self.undelivered = None
        if is_stop and not members and number in signals.STOP_SIGNALS and self._may_be_stopped():
            posix.kill(-group if group else pid, signals.CONT)
        now = time.monotonic()
        for member in members:
            if number == signals.TERM:
                self._account.asked[member.identity] = now
            procfs.let_hear(member, number)
        return True

    def _may_be_stopped(self) -> bool:
        """Whether the workload has been stopped; it may have been continued since."""
        return self._account.has_been_stopped or _has_just_stopped(self._workload.pid)

    def _resume(self, number: int) -> None:
        """Continue the workload, also if the SIGCONT that ended our own stop is forwarded as another `number`."""
        from .workload import job_control

        job_control.resume(self._account)
        if number != signals.CONT:
            job_control.continue_workload(self._account.pid, self._log)

    def _stop_along(self, number: int, is_for_job: bool) -> None:
        """Stop ourselves as well, where nothing else makes us stop. Returns once we have been continued."""
        if self._settings.persona.suspends:
            self._account.stop_sent = number, time.monotonic()  # its stop, reported later, is not another one
            signals.stop(signals.STOP, is_for_group=False)
        elif is_for_job and number in signals.STOPS and not self._account.is_running:
            signals.stop(signals.TSTP, is_for_group=False)

    def _report(self, received: Received, plan: "Plan") -> None:
        """Log what was done with it."""
        number, receivers, _ = plan
        if not receivers:
            outcome = "not needed: what is left has been asked to end"
        elif number == 0:
            outcome = "dropped"
        elif number == received.number:
            outcome = f"forwarded to {receivers}"
        else:
            outcome = f"forwarded as {signals.name_of(number)}"
        report(self._log, received, outcome, number, receivers if number else None)


def report(log: "Log", received: Received, outcome: str, number: int = 0, receivers: "str | None" = None) -> None:
    """Log a signal that came in, and what was done with it: the number that was delivered (0: none), and to which."""
    name = signals.name_of(received.number)
    log.info(
        "signal",
        f"{name} {received.origin}, {outcome}",
        signal=name,
        sender_pid=received.pid,
        sender_uid=received.uid,
        delivered=signals.name_of(number) if number else None,
        to=receivers,
    )


def _is_handled(pid: int, number: int) -> bool:
    """Whether a process catches or ignores a signal. It has been sent: want of memory must not keep us from noting
    that."""
    from .kernel import procfs

    try:
        return procfs.is_ours() and procfs.handles(pid, number)
    except MemoryError:  # not reached: takes memory that runs out in this very call
        return reserves.release_memory() and procfs.handles(pid, number)


def _has_just_stopped(pid: int) -> bool:
    """Whether a child has stopped, and that has not been waited for."""
    try:
        return posix.waitid(posix.P_PID, pid, posix.WSTOPPED | posix.WNOHANG | posix.WNOWAIT) is not None
    except ChildProcessError:
        return False


def received_from(info: "struct_siginfo") -> Received:
    """What came in, without the name of the sender."""
    is_sent = signals.is_sent(info)
    pid, uid = (info.si_pid, info.si_uid) if is_sent else (None, None)
    return Received(info.si_signo, pid, uid, signals.is_vouched_for(info))


def look_up(info: "struct_siginfo") -> Received:
    """What came in, with the name of the sender. That takes a look into /proc."""
    received = received_from(info)
    if received.pid and received.is_vouched_for:
        from .kernel import procfs

        received.sender_name = procfs.name_of(received.pid)
    return received


def _is_for_job(info: "struct_siginfo") -> bool:
    """Whether it comes from a terminal in whose foreground we are, and so is for the whole job.

    That is: from the kernel, or (a stop) from another member of our process group that passes it on, as we do.
    """
    if not signals.is_sent(info):
        return True
    if info.si_signo not in signals.TERMINAL_STOPS or not info.si_pid:
        return False
    try:
        return posix.getpgid(info.si_pid) == posix.getpgrp()
    except OSError:  # it has ended
        return False
