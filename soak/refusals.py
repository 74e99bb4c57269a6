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
"""For each thing that should happen; without it the run goes on, and shows at the end that it is missing."""
_SECONDS_TO_END = 15.0

_NEEDED_BY_ENGINE = ("close", "execve", "getdents64", "openat", "write")
"""Without these it starts no container: a program refuses them, and then becomes pyinit."""
_CANNOT = 9
"""What the workload exits with when it has nothing to do."""
_GIVEN_UP = 128 + signal.SIGKILL
"""The status where the workload would have to be killed, and cannot be."""
_OWN_STATUSES = (125, 126, 127)
_INDISPENSABLE = {
    *("clone", "pipe2", "execve", "setgroups", "setresgid", "setresuid", "setsid"),
    *("rt_sigprocmask", "rt_sigaction", "rt_sigtimedwait", "waitid", "wait4"),
}
"""What it takes to start a workload as it was asked for, and to wait for it: without these, pyinit may end."""
_WENT_ON, _TOLD, _ENDED, _NO_VERDICT, _BROKEN = (
    "went on",
    "went on and told what it cannot do",
    "ended with one line",
    "without a verdict",
    "BROKEN",
)
_LAUNCHER = "/usr/local/bin/pyinit"
_INTERPRETER = ("python3", "-I", "-S", "-B", "-X", "utf8", NOTHING)
"""As the launcher has it started, with a program that does nothing."""

_TELLS = ("--exit-report=always", "--termination-log=/tmp/log", "--stop-timeout=1", BRIEF)
_MANNERS: dict[str, tuple[str, ...]] = {
    "plain": ("pyinit", "--warn-on-reap", "--zombie-watch=0.02", *_TELLS),
    "changed": (
        "pyinit",
        "-vvv",
        "--session",
        "--user=1000:1000",
        "--forward-to=group",
        "--orphans=terminate",
        *_TELLS,
    ),
    "not PID 1": (WORKLOAD, "above", "pyinit", "--parent-death-signal=TERM", "--forward-to=all", *_TELLS),
}
"""Ways to run it, that together take all that the core can do."""


@dataclass(frozen=True)
class _Refusal:
    """A system call that is refused, with an errno; or none."""

    call: str = ""
    code: int = 0

    def __str__(self) -> str:
        return f"{self.call} refused with {errno.errorcode[self.code]}"

    def contained(self, setting: Setting, *command: str) -> AbstractContextManager[Contained]:
        """A container where it is."""
        options = {}
        if self.call in _NEEDED_BY_ENGINE:
            command = (WORKLOAD, "refuse", self.call, str(self.code), *command)
        elif self.call:
            options["security_opt"] = _profile(self.call, self.code)
        return contained(setting, *command[1:], entrypoint=[command[0]], **options)

    def end_of(self, setting: Setting, *command: str) -> Ended:
        """How a command ends there that does nothing; with -1 where no container starts."""
        try:
            with self.contained(setting, *command) as container:
                return container.end(_SECONDS_TO_END)
        except APIError as error:
            return Ended(-1, "", str(error))


@dataclass(frozen=True)
class _Seen:
    """What was seen of a container in which there was pyinit."""

    end: Ended
    has_zombies: bool

    @property
    def arrived(self) -> Counter[int]:
        """The signals that the workload has got."""
        return Counter(_arrived(self.end.output))

    @property
    def orphans(self) -> int:
        """How many were reaped, by the report."""
        told = re.search(r"; (\d+) orphans? reaped$", self.end.errors, re.MULTILINE)
        return int(told[1]) if told else 0

    def new(self, usual: "_Seen") -> list[str]:
        """The lines that are none of the usual ones."""
        known = {_shape(line) for line in usual.end.errors.splitlines()}
        return [line for line in self.end.errors.splitlines() if _shape(line) not in known]


def run(setting: Setting) -> Counts:
    """See which system calls the core makes, from its first line to its last; then refuse it each of them, in
    containers of their own.

    It goes on: the workload runs, orphans are reaped, signals arrive, the status is right, and what cannot be had is
    told. Or it ends with one line and a status of its own. (Where no container starts, or the bare interpreter does
    not, there is nothing to be said of pyinit.)
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
    """For each call, errno and manner: what came of it."""
    found = {manner: calls(setting, manner) for manner in _MANNERS}
    usual = {manner: _visit(setting, _Refusal(), manner) for manner in _MANNERS}
    refusals = [_Refusal(call, code) for call in sorted(set().union(*found.values())) for code in _CODES]
    setting.chance.shuffle(refusals)

    def refuse(refusal: _Refusal) -> list[str]:
        bare = refusal.end_of(setting, *_INTERPRETER)
        if bare.status:
            starts = refusal.end_of(setting, WORKLOAD).status == _CANNOT
            return [f"{refusal}: {_NO_VERDICT}: {'the interpreter' if starts else 'a container'} does not start"]
        told = []
        for manner, used in found.items():
            if refusal.call in used:
                try:
                    outcome = _judge(refusal.call, _visit(setting, refusal, manner), usual[manner], bare)
                except Failed as error:
                    outcome = f"{_BROKEN}: {error}"
                told.append(f"{refusal} ({manner}): {outcome}")
        return told

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            return [outcome for told in pool.map(refuse, refusals) for outcome in told]
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C


def calls(setting: Setting, manner: str) -> set[str]:
    """The system calls that the core makes: from the first look at its launcher, and in its child up to execve(2)."""
    strace = packages.provide("strace", "strace")
    folder = setting.folder / manner.replace(" ", "-")
    folder.mkdir()
    with contained(setting, "gate", *_command(manner), entrypoint=[WORKLOAD]) as container:
        container.hear("gate 0")
        # From outside, so that it is PID 1 that is traced, and nobody else is in its PID namespace.
        with subprocess.Popen([strace, "-ff", "-qq", "-o", folder / "trace", f"--attach={container.pid}"]) as tracer:
            container.until(lambda: _tracer(container.pid), tracer.pid.__eq__)
            container.send(signal.SIGUSR1)
            _converse(container, manner)
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


def _command(manner: str) -> tuple[str, ...]:
    return (*_MANNERS[manner], "--", WORKLOAD, "serve", str(_ORPHANS))


def _tracer(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^TracerPid:\s*(\d+)$", status, re.MULTILINE)[0])


def _profile(call: str, code: int) -> list[str]:
    refusal = {"names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": code}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refusal]}
    # With no-new-privileges the engine does nearly all that it has to do before the profile comes into force.
    return ["no-new-privileges", f"seccomp={json.dumps(profile)}"]


def _visit(setting: Setting, refusal: _Refusal, manner: str) -> _Seen:
    """Run pyinit where that call is refused.

    Raises:
        Broken: it does not end.
    """
    with refusal.contained(setting, *_command(manner)) as container:
        has_zombies = _converse(container, manner)
        return _Seen(container.end(_SECONDS_TO_END), has_zombies)


def _converse(container: Contained, manner: str) -> bool:
    """Send signals when the orphans have ended, TERM at last; return whether zombies are left."""
    _wait(container, lambda: "ready 0\n" in container.output)
    if not container.is_there:
        return False
    pid = container.pid
    if manner == "not PID 1":
        pid = (children(pid) or [pid])[0]
    has_zombies = not _wait(container, lambda: "Z" not in [state(child) for child in children(pid)])
    with suppress(ProcessLookupError):
        for number in _SENT:
            os.kill(pid, number)
        _wait(container, lambda: len(_arrived(container.output)) >= len(_SENT))
        os.kill(pid, signal.SIGTERM)
    return has_zombies


def _wait(container: Contained, holds: Callable[[], bool]) -> bool:
    """Wait until it holds, or the container has ended; False if neither comes."""
    with suppress(Failed):
        eventually(lambda: holds() or not container.is_there, patience=_SECONDS)
    return container.is_there and holds()


def _arrived(output: str) -> list[int]:
    return [int(number) for number in re.findall(r"^signal (\d+)$", output, re.MULTILINE)]


def _judge(call: str, seen: _Seen, usual: _Seen, bare: Ended) -> str:
    """How pyinit does without the call.

    Raises:
        Broken: not as it should.
    """
    new = seen.new(usual)
    own = [line for line in new if line.startswith("pyinit: ")]
    outcome = f"ended with {seen.end.status}, {len(own)} lines that are not usual: {list(dict.fromkeys(new))}"
    if len(new) - len(own) > len(bare.errors.splitlines()):
        raise Broken(f"lines that are not pyinit's: {outcome}")
    if any("carrying on after" in line for line in own):
        raise Broken(f"an error that was not provided for: {outcome}")
    if seen.end.status in _OWN_STATUSES and call in _INDISPENSABLE:
        # That the line cannot be had as the workload's user in the termination log, too, is a second line's to say; and
        # what it has done until then is none of the causes.
        causes = [line for line in own if not re.search("the termination log|whose parent died", line)]
        if len(causes) == 1:
            return f"{_ENDED}: {seen.end.status}, {causes[0]!r}"
        raise Broken(f"not one line: {outcome}")
    lacking = [f"cannot (forward|send) {_name(number)}\\b" for number in usual.arrived - seen.arrived]
    if seen.orphans < _ORPHANS and seen.end.errors:
        lacking.append("cannot become the child subreaper")
    if seen.end.status == _GIVEN_UP:
        lacking.append("going on without it$|was killed by SIGKILL")
    elif seen.end.status != ASKED_TO_STOP:
        raise Broken(outcome)
    untold = [words for words in lacking if not re.search(words, "\n".join(own), re.MULTILINE)]
    if untold or seen.has_zombies or seen.arrived - usual.arrived:
        raise Broken(
            f"zombies: {seen.has_zombies}, not told of: {untold}, {seen.orphans} orphans reaped, "
            f"signals arrived: {dict(seen.arrived)}; {outcome}"
        )
    warnings = [line for line in own if re.match("pyinit: cannot ", line)]
    if warnings:
        return f"{_TOLD}: {', '.join(map(repr, dict.fromkeys(warnings)))}"
    return _WENT_ON


def _name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return re.escape(f"SIGRTMIN+{number - signal.SIGRTMIN}")


def _shape(line: str) -> str:
    """The line without what differs from run to run."""
    return re.sub(r"\d+(\.\d+)?(m?s\b)?", "N", line)
