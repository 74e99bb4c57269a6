"""Each system call that the core uses, refused in turn by a seccomp profile of the engine."""

import errno
import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from docker.errors import APIError

from pyinit.kernel.signals import name_of
from soak.engine import ASKED_TO_STOP, BRIEF, NOTHING, WORKLOAD, Contained, children, contained, state
from soak.fault import Broken, Counts, Setting
from testing import packages
from testing.containers import Ended
from testing.waiting import Failed, eventually

NAME = "each system call that the core uses, refused with ENOSYS and with EPERM"

_CODES = (errno.ENOSYS, errno.EPERM)
_AT_ONCE = 4
_ORPHANS = 20
_SENT = (signal.SIGUSR1, signal.SIGRTMIN + 5, signal.SIGRTMIN + 5)
_SECONDS = 10.0
"""Time limit for each event. If it does not happen, the run goes on, and the verdict at the end reports it."""
_SECONDS_TO_END = 15.0

_NEEDED_BY_ENGINE = ("close", "execve", "getdents64", "openat", "write")
"""The engine cannot start a container without these, so a program installs the filter and then execs pyinit."""
_CANNOT = 9
"""Exit status of the workload without a command."""
_GIVEN_UP = 128 + signal.SIGKILL
"""Exit status if the workload has to be killed, but cannot be."""
_OWN_STATUSES = (125, 126, 127)
_INDISPENSABLE = {
    *("clone", "pipe2", "execve", "setgroups", "setresgid", "setresuid", "setsid"),
    *("rt_sigprocmask", "rt_sigaction", "rt_sigtimedwait", "waitid", "wait4", "writev"),
}
"""Calls that pyinit needs to start the workload as requested and to wait for it. Without these it may exit."""
_WENT_ON, _WARNED, _ENDED, _NO_VERDICT, _BROKEN = (
    "went on",
    "went on with a warning",
    "exited with one line",
    "no verdict",
    "BROKEN",
)
_LAUNCHER = "/usr/local/bin/pyinit"
_INTERPRETER = ("python3", "-I", "-S", "-B", "-X", "utf8", NOTHING)
"""The interpreter as the launcher starts it, with an empty program."""

_REPORTING = ("--exit-report=always", "--termination-log=/tmp/log", "--stop-timeout=1", BRIEF)
_SETUPS: dict[str, tuple[str, ...]] = {
    "plain": ("pyinit", "--warn-on-reap", "--zombie-watch=0.02", *_REPORTING),
    "changed": (
        "pyinit",
        "-vvv",
        "--session",
        "--user=1000:1000",
        "--forward-to=group",
        "--orphans=terminate",
        *_REPORTING,
    ),
    "not PID 1": (WORKLOAD, "above", "pyinit", "--parent-death-signal=TERM", "--forward-to=all", *_REPORTING),
}
"""Command lines of pyinit that together use all features of the core."""


@dataclass(frozen=True)
class _Refusal:
    """A system call that is refused, and the errno; or no refusal."""

    call: str = ""
    code: int = 0

    def __str__(self) -> str:
        return f"{self.call} refused with {errno.errorcode[self.code]}"

    def contained(self, setting: Setting, *command: str) -> AbstractContextManager[Contained]:
        """A container in which the call is refused."""
        options = {}
        if self.call in _NEEDED_BY_ENGINE:
            command = (WORKLOAD, "refuse", self.call, str(self.code), *command)
        elif self.call:
            options["security_opt"] = _profile(self.call, self.code)
        return contained(setting, *command[1:], entrypoint=[command[0]], **options)

    def end_of(self, setting: Setting, *command: str) -> Ended:
        """How a command that does nothing exits there; status -1 if no container starts."""
        try:
            with self.contained(setting, *command) as container:
                return container.end(_SECONDS_TO_END)
        except APIError as error:
            return Ended(-1, "", str(error))


@dataclass(frozen=True)
class _Seen:
    """The observations of a container that ran pyinit."""

    end: Ended
    has_zombies: bool

    @property
    def arrived(self) -> Counter[int]:
        """The signals that the workload received."""
        return Counter(_arrived(self.end.output))

    @property
    def orphans(self) -> int:
        """The number of reaped orphans in the report."""
        reported = re.search(r"; (\d+) orphans? reaped$", self.end.errors, re.MULTILINE)
        return int(reported[1]) if reported else 0

    def new(self, usual: "_Seen") -> list[str]:
        """The lines that do not occur in the usual run."""
        known = {_shape(line) for line in usual.end.errors.splitlines()}
        return [line for line in self.end.errors.splitlines() if _shape(line) not in known]


def run(setting: Setting) -> Counts:
    """Trace the system calls that the core makes, from its first line to its last. Then refuse each of them, in a new
    container for each.

    Either pyinit goes on: the workload runs, orphans are reaped, signals arrive, the status is right, and a warning
    names what pyinit cannot do. Or it exits with one line and a status of its own. (There is no verdict if the
    container or the bare interpreter does not start either.)
    """
    counts, broken = Counts(), []
    for outcome in outcomes(setting):
        kind = outcome.partition(": ")[2].partition(":")[0]
        counts[kind] += 1
        counts["faults"] += kind != _NO_VERDICT
        if kind == _BROKEN:
            broken.append(outcome)
    if broken:
        raise Broken("\n".join(broken))
    return counts


def outcomes(setting: Setting) -> list[str]:
    """The outcome for each call, errno and setup."""
    found = {setup: calls(setting, setup) for setup in _SETUPS}
    usual = {setup: _visit(setting, _Refusal(), setup) for setup in _SETUPS}
    refusals = [_Refusal(call, code) for call in sorted(set().union(*found.values())) for code in _CODES]
    setting.chance.shuffle(refusals)

    def refuse(refusal: _Refusal) -> list[str]:
        bare = refusal.end_of(setting, *_INTERPRETER)
        if bare.status:
            starts = refusal.end_of(setting, WORKLOAD).status == _CANNOT
            return [f"{refusal}: {_NO_VERDICT}: {'the interpreter' if starts else 'a container'} does not start"]
        lines = []
        for setup, used in found.items():
            if refusal.call in used:
                try:
                    outcome = _judge(refusal.call, _visit(setting, refusal, setup), usual[setup], bare)
                except Failed as error:
                    outcome = f"{_BROKEN}: {error}"
                lines.append(f"{refusal} ({setup}): {outcome}")
        return lines

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            return [line for lines in pool.map(refuse, refusals) for line in lines]
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C


def calls(setting: Setting, setup: str) -> set[str]:
    """The system calls of the core: from the moment when it opens its launcher, and in its child until execve(2)."""
    strace = packages.provide("strace", "strace")
    folder = setting.folder / setup.replace(" ", "-")
    folder.mkdir()
    with contained(setting, "gate", *_command(setup), entrypoint=[WORKLOAD]) as container:
        container.hear("gate 0")
        # Trace PID 1 from outside, so that its PID namespace has no extra process.
        with subprocess.Popen([strace, "-ff", "-qq", "-o", folder / "trace", f"--attach={container.pid}"]) as tracer:
            container.until(lambda: _tracer(container.pid), tracer.pid.__eq__)
            container.send(signal.SIGUSR1)
            _converse(container, setup)
            container.end()
    lines: list[str] = []
    for file in folder.iterdir():
        traced = file.read_text().splitlines()
        executed = [number for number, line in enumerate(traced) if line.startswith("execve(")]
        opened = [number for number, line in enumerate(traced) if f'"{_LAUNCHER}", O_RDONLY' in line]
        if opened:
            lines += traced[opened[0] :]
        elif executed and file.suffix != f".{container.pid}":
            lines += traced[: executed[-1] + 1]
    return {found[1] for line in lines if (found := re.match(r"(\w+)\(", line))}


def _command(setup: str) -> tuple[str, ...]:
    return (*_SETUPS[setup], "--", WORKLOAD, "serve", str(_ORPHANS))


def _tracer(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^TracerPid:\s*(\d+)$", status, re.MULTILINE)[0])


def _profile(call: str, code: int) -> list[str]:
    refusal = {"names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": code}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refusal]}
    # With no-new-privileges, the engine does nearly all of its own work before the profile takes effect.
    return ["no-new-privileges", f"seccomp={json.dumps(profile)}"]


def _visit(setting: Setting, refusal: _Refusal, setup: str) -> _Seen:
    """Run pyinit in a container in which that call is refused.

    Raises:
        Broken: pyinit does not exit.
    """
    with refusal.contained(setting, *_command(setup)) as container:
        has_zombies = _converse(container, setup)
        return _Seen(container.end(_SECONDS_TO_END), has_zombies)


def _converse(container: Contained, setup: str) -> bool:
    """Wait for the end of the orphans, send signals, the last one TERM; return whether zombies are left."""
    _wait(container, lambda: "ready 0\n" in container.output)
    if not container.is_there:
        return False
    pid = container.pid
    if setup == "not PID 1":
        pid = (children(pid) or [pid])[0]
    has_zombies = not _wait(container, lambda: "Z" not in [state(child) for child in children(pid)])
    with suppress(ProcessLookupError):
        for number in _SENT:
            os.kill(pid, number)
        _wait(container, lambda: len(_arrived(container.output)) >= len(_SENT))
        os.kill(pid, signal.SIGTERM)
    return has_zombies


def _wait(container: Contained, holds: Callable[[], bool]) -> bool:
    """Wait until the condition holds or the container has exited; return whether it holds and the container runs."""
    with suppress(Failed):
        eventually(lambda: holds() or not container.is_there, patience=_SECONDS)
    return container.is_there and holds()


def _arrived(output: str) -> list[int]:
    return [int(number) for number in re.findall(r"^signal (\d+)$", output, re.MULTILINE)]


def _judge(call: str, seen: _Seen, usual: _Seen, bare: Ended) -> str:
    """The outcome of a run without the call.

    Raises:
        Broken: pyinit did not behave as it should.
    """
    new = seen.new(usual)
    own = [line for line in new if line.startswith("pyinit: ")]
    outcome = f"exited with {seen.end.status} and {len(own)} unusual lines: {list(dict.fromkeys(new))}"
    if len(new) - len(own) > len(bare.errors.splitlines()):
        raise Broken(f"lines that are not pyinit's: {outcome}")
    if any("carrying on after" in line for line in own):
        raise Broken(f"unexpected error: {outcome}")
    if seen.end.status in _OWN_STATUSES and call in _INDISPENSABLE:
        # Further lines are fine: the termination log could not be written as the workload's user, and an orphan was
        # terminated and reaped before the failure.
        fine = "the termination log|whose parent died|: reaped pid .* SIGTERM$"
        causes = [line for line in own if not re.search(fine, line)]
        if len(causes) == 1:
            return f"{_ENDED}: {seen.end.status}, {causes[0]!r}"
        raise Broken(f"not one line: {outcome}")
    unreported = _unreported({name_of(number) for number in usual.arrived - seen.arrived}, own)
    lacking = []
    if seen.orphans < _ORPHANS and seen.end.errors:
        lacking.append("cannot become the child subreaper")
    if seen.end.status == _GIVEN_UP:
        lacking.append("going on without it$|was killed by SIGKILL")
    elif seen.end.status != ASKED_TO_STOP:
        raise Broken(outcome)
    unreported += [words for words in lacking if not re.search(words, "\n".join(own), re.MULTILINE)]
    if unreported or seen.has_zombies or seen.arrived - usual.arrived:
        raise Broken(
            f"zombies: {seen.has_zombies}, not reported: {unreported}, {seen.orphans} orphans reaped, "
            f"signals arrived: {dict(seen.arrived)}; {outcome}"
        )
    warnings = [line for line in own if re.match("pyinit: cannot ", line)]
    if warnings:
        return f"{_WARNED}: {', '.join(map(repr, dict.fromkeys(warnings)))}"
    return _WENT_ON


def _unreported(missed: set[str], lines: list[str]) -> list[str]:
    """What the log should have said of the signals that did not arrive, and did not.

    A signal that cannot be sent to a process is a line for each process. One that cannot be forwarded at all is a line
    for each reason, which names the first such signal.

    Raises:
        Broken: the log says so of a signal that did arrive, or twice for the same reason.
    """
    text = "\n".join(lines)
    forwards = re.findall(r"^pyinit: cannot forward (\S+): (.+)$", text, re.MULTILINE)
    if len({reason for _, reason in forwards}) < len(forwards) or not {name for name, _ in forwards} <= missed:
        raise Broken(f"reported twice, or although it arrived: {forwards}; did not arrive: {missed}")
    if forwards:
        return []
    unsent = set(re.findall(r"^pyinit: cannot send (\S+) to ", text, re.MULTILINE))
    return [f"cannot forward {name}" for name in sorted(missed - unsent)]


def _shape(line: str) -> str:
    """The line without numbers, which differ from run to run."""
    return re.sub(r"\d+(\.\d+)?(m?s\b)?", "N", line)
