"""What has happened so far: the signals that were received, the orphans, the end."""

import posix
import time

from .kernel import signals
from .kernel.wait_status import shell_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .kernel.cgroup import Memory
    from .kernel.procfs import Process

RUNNING, STAYING, DRAINING, KILLING, OVER = "running", "staying", "draining", "killing", "over"
"""The stages of a container's life (`ending.stages`)."""

_DIES_WITHIN = 1.0
"""Seconds. A workload that has handled a signal and dies of it this soon has sent it to itself again."""

_DUMPS_WITHIN = 60.0
"""The same where it dumped core: that takes the kernel a while (core(5))."""


class Received:
    """A signal that came in, and its sender."""

    __slots__ = ("is_vouched_for", "number", "pid", "sender_name", "time", "uid", "was_handled")

    def __init__(self, number: int, pid: "int | None", uid: "int | None", is_vouched_for: bool = True) -> None:
        self.number = number
        self.pid = pid
        """The sender: 0 for a process outside of the PID namespace, None for the kernel."""
        self.uid = uid
        self.is_vouched_for = is_vouched_for
        """Whether the kernel names the sender. Otherwise the sender names itself, and its name is not looked up."""
        self.sender_name: "str | None" = None
        """Once it has been looked up."""
        self.time = time.monotonic()
        self.was_handled = False
        """Whether the workload caught or ignored it on delivery, as far as that is known."""

    @property
    def origin(self) -> str:
        """The sender as people know it; it follows the name of the signal in a sentence."""
        if self.pid is None:
            sender = "from the kernel"
        elif self.pid == 0:
            sender = "from outside the container"
        else:
            sender = f"from pid {self.pid}" + (f" ({self.sender_name})" if self.sender_name else "")
        return sender if self.is_vouched_for else f"{sender} (as the sender says)"


class Straggler:
    """A process that was left when the drain began, or when it ended."""

    __slots__ = ("ended", "identity", "killed", "name", "pid", "since", "wait_status")

    def __init__(self, process: "Process") -> None:
        self.identity = process.identity
        self.pid = process.pid
        self.name = process.name
        self.since = time.monotonic()
        self.killed: "float | None" = None
        """When it was sent SIGKILL."""
        self.ended: "float | None" = None
        self.wait_status: "int | None" = None
        """How it ended; None if it was not our child."""


class Ending:
    """How the workload ended, in the three forms that are asked for."""

    __slots__ = ("exit_status", "status", "wait_status")

    def __init__(self, wait_status: "int | None", exit_remap: "Mapping[int, int]", status_if_unknown: int = 0) -> None:
        """`wait_status` is what wait(2) returned; None for a workload that hangs in the kernel and is given up."""
        self.wait_status = wait_status
        self.status = status_if_unknown if wait_status is None else shell_status(wait_status)
        """What a shell reports: the exit code, or 128 and the signal."""
        self.exit_status = exit_remap.get(self.status, self.status)
        """What pyinit exits with."""

    @property
    def signal(self) -> int:
        """The number of the signal that killed it; 0 if it exited."""
        status = self.wait_status
        return posix.WTERMSIG(status) if status is not None and posix.WIFSIGNALED(status) else 0

    @property
    def dumped_core(self) -> bool:
        return bool(self.signal) and posix.WCOREDUMP(self.wait_status or 0)


class Account:
    """What the report and the counters are made from. Written by the reaper, the forwarder and the stages."""

    __slots__ = (
        "_exit_remap",
        "asked",
        "delivered",
        "delivered_late",
        "ended",
        "ending",
        "first_stop",
        "forwarded",
        "forwards",
        "has_been_stopped",
        "has_killed",
        "is_suspended",
        "last_ended",
        "left",
        "memory",
        "name",
        "only_filters_from",
        "orphans",
        "pid",
        "remaining",
        "shares_terminal",
        "stage",
        "started",
        "stop_sent",
        "stop_timeout_after",
        "stragglers",
        "takes_terminal",
        "usage",
    )

    def __init__(
        self, pid: int, name: str, started: float, takes_terminal: bool, exit_remap: "Mapping[int, int]"
    ) -> None:
        self.pid = pid
        """The workload's; pyinit's own where there is none (``--pause``)."""
        self.name = name
        self.started = started
        """When the workload was started; like every time here, on the monotonic clock."""
        self.takes_terminal = takes_terminal
        """Whether the workload has the terminal, so that Ctrl-C reaches it without us."""
        self._exit_remap = exit_remap
        self.stage = RUNNING
        self.orphans = 0
        """How many orphans have been reaped."""

        self.forwards = 0
        """How many signals have been forwarded."""
        self.forwarded: "dict[int, tuple[int, Received]]" = {}
        """By the number that came in: how many of them, and the last."""
        self.delivered: "dict[int, Received]" = {}
        """What the workload got last, by the number that was delivered."""
        self.first_stop: "Received | None" = None
        """The first stop signal that came in for the workload, dropped or not."""

        self.stop_sent = 0, 0.0
        """The signal that we last forwarded to stop the workload, and when."""
        self.has_been_stopped = False
        """Whether the workload has ever been stopped, and the terminal may have changed hands."""
        self.is_suspended = False
        """Whether we have stopped along with the workload, and have not yet let it continue."""
        self.shares_terminal = False
        """Whether the workload gets the terminal when we do."""

        self.ending: "Ending | None" = None
        """None while the workload is alive."""
        self.ended = 0.0
        """When the workload was reaped; 0 before."""
        self.usage: "tuple[float, int] | None" = None
        """What the workload and the children that it waited for used: CPU seconds, and the largest resident set of one
        of them, in bytes. None if that is unknown."""
        self.stop_timeout_after: "float | None" = None
        """Seconds from the first stop signal until the stop timeout sent SIGKILL; None if it did not."""

        self.last_ended: "tuple[int, str | None, int] | None" = None
        """The process that ended last during a stay: its pid, its name if known, and its wait status."""
        self.delivered_late: "set[int]" = set()
        """The signals that were forwarded after the end of the workload."""

        self.asked: "dict[tuple[int, int], float]" = {}
        """The processes that we have sent SIGTERM, by their identity, and when."""
        self.stragglers: "list[Straggler]" = []
        """What was left when the drain began, and what was killed at its end."""
        self.remaining: "dict[int, Straggler]" = {}
        """Those of them that have not ended, by pid."""
        self.has_killed = False
        """Whether the drain timeout has passed, and what was left was sent SIGKILL."""
        self.only_filters_from: "str | None" = None
        """The stage in which filters of our output were found to be all that is left; None if that was never so."""
        self.left: "list[Process]" = []
        """Processes that outlive us. Empty as PID 1, whose exit ends the namespace."""

        self.memory: "Memory | None" = None
        """Our memory cgroup; None if the run was too short to look for it."""

    @property
    def is_running(self) -> bool:
        """Whether we wait for the workload."""
        return self.stage == RUNNING

    @property
    def is_draining(self) -> bool:
        """Whether the drain has begun, or is over."""
        return self.stage not in (RUNNING, STAYING)

    @property
    def is_over(self) -> bool:
        return self.stage == OVER

    def add_signal(self, received: "Received", number: int, is_stop: bool) -> None:
        """Note that a signal was forwarded, as signal `number`; 0 if it was dropped."""
        if is_stop and self.first_stop is None and self.ending is None:
            self.first_stop = received
        if number:
            if self.ending is not None:
                self.delivered_late.add(number)
            self.forwards += 1
            count, _ = self.forwarded.get(received.number, (0, None))
            self.forwarded[received.number] = count + 1, received
            if self.ending is None:
                self.delivered[number] = received

    def end_workload(self, wait_status: "int | None", status_if_unknown: int = 0) -> Ending:
        """Note that the workload has ended, now; with None, that it hangs and is given up."""
        self.ended = time.monotonic()
        self.ending = Ending(wait_status, self._exit_remap, status_if_unknown)
        return self.ending

    def add_stragglers(self, processes: "list[Process]") -> None:
        """Note what is left when the drain begins."""
        for one in processes:
            self.remaining[one.pid] = straggler = Straggler(one)
            self.stragglers.append(straggler)

    def straggler_ended(self, pid: int, wait_status: "int | None") -> None:
        """Note that a process has ended, if it is a straggler."""
        straggler = self.remaining.pop(pid, None)
        if straggler:
            straggler.ended = time.monotonic()
            straggler.wait_status = wait_status

    def forget_remaining(self) -> None:
        """What has not ended is no straggler: it waits for us."""
        self.stragglers = [one for one in self.stragglers if one.pid not in self.remaining]
        self.remaining = {}

    def note_killed(self, processes: "list[Process]") -> "list[Process]":
        """Note that these are being killed; return those that are new."""
        self.add_stragglers([one for one in processes if one.pid not in self.remaining])
        new = [one for one in processes if self.remaining[one.pid].killed is None]
        for one in new:
            self.remaining[one.pid].killed = time.monotonic()
            self.remaining[one.pid].name = one.name  # it may have taken another meanwhile
        return new

    def note_all_killed(self) -> None:
        """Note that all that are left were killed: the remaining stragglers, and those that are not known."""
        self.has_killed = True
        for one in self.remaining.values():
            one.killed = one.killed or time.monotonic()

    @property
    def oom_kills(self) -> "int | None":
        """How many processes of our memory cgroup the kernel has killed because memory ran out; None if unknown."""
        return self.memory.kills() if self.memory else None

    @property
    def killed_after(self) -> "float | None":
        """Seconds from the first stop signal until we killed the workload; None if it did not die of that."""
        if self.ending is not None and self.ending.status != 128 + signals.KILL:
            return None
        return self.stop_timeout_after

    @property
    def cause(self) -> "Received | None":
        """The signal that explains the end: the one that the workload died of, or else the first stop signal."""
        return self._died_of() or self.first_stop

    @property
    def is_abnormal(self) -> bool:
        """Whether nobody asked for this end."""
        if self.ending is None or self.ending.wait_status is None:
            return True
        if self.oom_kills or self.has_killed or self.killed_after is not None or self.last_crash:
            return True
        was_typed = self.takes_terminal and self.ending.signal in (signals.INT, signals.QUIT)  # Ctrl-C passes us by
        return bool(self.ending.signal) and self._died_of() is None and not was_typed

    @property
    def last_crash(self) -> "tuple[int, str | None, int] | None":
        """The last process of a stay, if it died of a signal that was not for it to end of."""
        if self.last_ended is None or self.has_killed:
            return None
        signal = self.last_ended[2] & 0x7F
        was_sent = signal in self.delivered_late or (signal in signals.STOP_SIGNALS and self.first_stop is not None)
        return self.last_ended if signal and not was_sent else None

    def _died_of(self) -> "Received | None":
        """The delivery that the workload died of; None if it exited, or died of a signal from elsewhere.

        A stop signal counts however long ago it was delivered: a handler that saves first, and then dies of the same
        signal, is good style. Any other that was handled counts for a moment only: the workload may die of a later one.
        """
        if self.ending is None or not self.ending.signal:
            return None
        received = self.delivered.get(self.ending.signal)
        if received is None or not received.was_handled or self.ending.signal in signals.STOP_SIGNALS:
            return received
        within = _DUMPS_WITHIN if self.ending.dumped_core else _DIES_WITHIN
        return received if self.ended - received.time <= within else None
