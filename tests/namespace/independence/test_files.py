"""pyinit's files are taken away after the workload has started: nothing changes.

They are deleted, covered, or replaced by another version: at once, while pyinit is still loading, or later. Each test
starts one container for each of these times, side by side.
"""

import re
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pexpect
import psutil
import pytest

from testing import terminals
from testing.namespaces import Container, Ended, clean_environment
from testing.waiting import PATIENCE, eventually

from ..test_job_control import echoes, foreground, press_ctrl_z
from ..test_terminal import PROMPT
from .conftest import TOLD, Begin, Installation, log_of, read_until

DELAYS = (0, 5, 50)
"""Milliseconds from the workload's start to the damage."""

WORLDS = [
    ("installed", "delete"),
    ("installed", "cover with the library"),
    ("installed", "replace"),
    ("installed", "overwrite"),
    ("sources", "overwrite"),
    ("site-packages", "delete"),
]
"""The kind of installation, and the act of the workload that damages it.

"Replace" makes other files of the same names; "overwrite" changes the contents of the same files, as ``cp`` does with a
launcher that all containers of an engine share.
"""

LIBRARY = sysconfig.get_path("stdlib")

Several = Callable[..., list[Container]]


@pytest.fixture(params=WORLDS, ids=lambda param: f"{param[0]}, {param[1]}")
def world(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Each in turn."""
    return (request.param[0], request.param[1])


@pytest.fixture
def installation(world: tuple[str, str], installations: dict[str, Installation]) -> Installation:
    """What is damaged."""
    return installations[world[0]]


@pytest.fixture
def damage(world: tuple[str, str]) -> str:
    """The act that damages it."""
    return world[1]


def damaging(installation: Installation, damage: str, delay: int) -> list[str]:
    """The acts that wait `delay` milliseconds and do the damage."""
    acts = ["delay", str(delay)] if delay else []
    acts += [damage.split()[0], str(installation.home)]
    return [*acts, "cover", LIBRARY] if damage == "cover with the library" else acts


@pytest.fixture
def damaged(begin: Begin, installation: Installation, actor: str, damage: str) -> Several:
    """Start pyinit with these options, once for each delay; the workload does the damage and goes on with `acts`."""

    def damaged(*options: str, acts: str, is_pid_1: bool = True, **popen: object) -> list[Container]:
        return [
            begin(
                installation,
                *options,
                *("--", actor, *damaging(installation, damage, delay), *acts.split()),
                before=installation.own_copy(),
                is_pid_1=is_pid_1,
                **popen,
            )
            for delay in DELAYS
        ]

    return damaged


def ends(containers: list[Container]) -> list[Ended]:
    """How they ended; fail with the delay of each that did not end with status 7 and without a complaint."""
    ended = [container.end() for container in containers]
    for delay, end in zip(DELAYS, ended, strict=True):
        assert end.status == 7, f"after {delay} ms: {end}"
        assert not log_of(end).complaints, f"after {delay} ms: {log_of(end)}"
    return ended


@pytest.mark.parametrize("to", ["child", "all"])
def test_signals_are_forwarded(damaged: Several, to: str) -> None:
    """Standard signals, and each instance of a real-time signal."""
    containers = damaged(*TOLD, f"--forward-to={to}", acts="block say ready hear 4 exit 7")
    real_time = signal.SIGRTMIN + 3
    sent = (signal.SIGHUP, signal.SIGUSR1, real_time, real_time)
    for container in containers:
        container.expect("ready")
        for number in sent:
            container.signal(number)
    for container in containers:
        assert sorted([container.line() for _ in sent], key=int) == [str(int(number)) for number in sent]
    for ended in ends(containers):
        forwarded = {signal.Signals(number).name for number in sent[:2]} | {"SIGRTMIN+3"}
        assert {one["signal"] for one in log_of(ended).of("signal")} == forwarded, log_of(ended)


def test_orphans_are_reaped_and_logged(damaged: Several) -> None:
    """Each of them, with ``--warn-on-reap``."""
    containers = damaged("--log-format=json", "--exit-report=always", "-w", acts="orphans 50 await-gone exit 7")
    for delay, container in zip(DELAYS, containers, strict=True):
        container.expect("gone")
        ended = container.end()
        log = log_of(ended)
        assert ended.status == 7, f"after {delay} ms: {ended}"
        assert log.report["orphans_reaped"] == len(log.of("reaped")) == 50, f"after {delay} ms: {log}"


def test_the_stop_timeout_is_kept(damaged: Several) -> None:
    """And the report says so."""
    acts = "ignore 15 say ready pause"
    containers = damaged("--stop-timeout=0.3", "--log-format=json", acts=acts)
    for container in containers:
        container.expect("ready")
        container.signal(signal.SIGTERM)
    since = time.monotonic()
    for delay, container in zip(DELAYS, containers, strict=True):
        ended = container.end()
        log = log_of(ended)
        assert ended.status == 137, f"after {delay} ms: {ended}"
        assert (log.report["signal"], log.report["killed_by"]) == ("SIGTERM", "SIGKILL"), log
        assert 0.3 <= log.report["killed_after_seconds"] < 20, f"after {delay} ms: {log}"
        assert not log.complaints, log
    assert time.monotonic() - since < 20


@pytest.mark.parametrize("is_pid_1", [True, False], ids=["PID 1", "subreaper"])
def test_stragglers_are_asked_and_then_killed(damaged: Several, is_pid_1: bool) -> None:
    """And reported. Two end at SIGTERM, one does not."""
    containers = damaged(
        *TOLD, "--drain-timeout=2", acts="start 2 start-stubborn 1 exit 7", is_pid_1=is_pid_1
    )  # fmt: skip
    for ended in ends(containers):
        report = log_of(ended).report
        assert ended.out == "asked\n" * 2, ended
        seen = {name: report[f"stragglers_{name}"] for name in ("ended", "killed", "left")}
        assert seen == {"ended": 2, "killed": 1, "left": 0}, log_of(ended)
        assert report["stragglers_ended_names"] == report["stragglers_killed_names"] == ["actor"], log_of(ended)


def test_the_report_is_made_and_goes_to_the_termination_log(damaged: Several, tmp_path: Path) -> None:
    """Both standard error and the termination log get one line on why it ended."""
    log = tmp_path / "log"
    containers = damaged(f"--termination-log={log}", acts="die 9")
    for delay, container in zip(DELAYS, containers, strict=True):
        ended = container.end()
        assert ended.status == 137, f"after {delay} ms: {ended}"
        assert re.fullmatch(r"pyinit: actor \(pid \d+\) was killed by SIGKILL after [^\n]*\n", ended.err), ended
        assert log.exists() and ended.err in log.read_text(), f"after {delay} ms: {ended}"
    assert len(log.read_text().splitlines()) == len(DELAYS)


def test_zombies_are_watched_for(damaged: Several) -> None:
    """The workload does not reap one."""
    acts = "zombies 1 await-line exit 7"  # of two, the first might be reported alone
    words = ["--log-format=json", "--zombie-watch=0.1"]
    containers = damaged(*words, acts=acts, stdin=subprocess.PIPE)
    for container in containers:
        assert '"name": "actor"' in (told := read_until(container, "zombies")), told
        container.say()
        ended = container.end()
        assert (ended.status, ended.err) == (7, ""), ended


def test_live_orphans_are_ended(damaged: Several) -> None:
    """With ``--orphans=terminate``, while the workload runs."""
    for ended in ends(damaged(*TOLD, "--orphans=terminate", acts="live-orphans 2 await-gone exit 7")):
        assert sorted(ended.out.split()) == ["asked", "asked", "gone"], ended
        assert [one["name"] for one in log_of(ended).of("orphan")] == ["actor", "actor"], log_of(ended)


def test_it_stays_until_the_last_process_has_ended(damaged: Several) -> None:
    """With ``--wait-for=all``; a stop signal asks those that are left."""
    containers = damaged(*TOLD, "--wait-for=all", acts="start 1 say ready exit 7")
    for container in containers:
        container.expect("ready")
        assert '"event": "staying"' in read_until(container, "staying")
        container.signal(signal.SIGTERM)
        container.expect("asked")
        ended = container.end()
        assert ended.status == 7, ended
        assert log_of(ended).report["signal"] in ("SIGTERM", None), ended


# Job control.


Shell: TypeAlias = "pexpect.spawn[str]"


@pytest.fixture
def shell(installation: Installation) -> Iterator[Shell]:
    """An interactive bash, in a mount namespace that has a copy of the installation."""
    environment = dict(clean_environment(PS1=PROMPT, TERM="dumb"))
    words = ["--mount", *installation.own_copy(), "bash", "--norc", "--noprofile", "-i"]
    shell: Shell = pexpect.spawn(
        "unshare", words, cwd="/", env=environment, encoding="utf-8", timeout=PATIENCE, dimensions=(24, 250)
    )
    shell.expect_exact(PROMPT)
    yield shell
    terminals.end(shell)


@pytest.mark.parametrize("session", [[], ["--session"]], ids=["a group of its own", "--session"])
def test_a_job_stops_and_goes_on(
    shell: Shell, installation: Installation, actor: str, damage: str, session: list[str]
) -> None:
    """In a shell. Ctrl-C ends it."""
    acts = [*damaging(installation, damage, 5), "execute", "cat"]
    shell.sendline(" ".join([*installation.command, *session, "--", actor, *acts]))
    for line in ("first", "second"):
        echoes(shell, line)
        press_ctrl_z(shell)
        foreground(shell)
    shell.sendintr()
    shell.expect_exact(PROMPT)
    shell.sendline("echo status $?")
    shell.expect_exact("\nstatus 130\r\n")


@pytest.mark.parametrize("session", [[], ["--session"]], ids=["a group of its own", "--session"])
def test_the_terminal_is_given_back(
    shell: Shell, installation: Installation, actor: str, damage: str, session: list[str]
) -> None:
    """The next command in the script can read from it."""
    acts = [*damaging(installation, damage, 0), "exit", "7"]
    pyinit = " ".join([*installation.command, *session, "--", actor, *acts])
    shell.sendline(f"sh -c '{pyinit}; read line; echo got $line'")
    shell.sendline("it")
    shell.expect_exact("got it\r\n")
    shell.expect_exact(PROMPT)


def test_a_stop_that_was_sent_to_pid_1_lasts(damaged: Several) -> None:
    """Until SIGCONT, with a terminal or without."""
    for container in damaged(acts="say ready await-line exit 7", stdin=subprocess.PIPE):
        container.expect("ready")
        children = psutil.Process(container.init).children()
        assert len(children) == 1, f"it ended too soon: {container.end()}"
        workload = children[0]
        container.signal(signal.SIGTSTP)
        eventually(lambda: workload.status() == psutil.STATUS_STOPPED, "the workload is stopped")  # noqa: B023
        container.signal(signal.SIGCONT)
        eventually(lambda: workload.status() != psutil.STATUS_STOPPED, "the workload goes on")  # noqa: B023
        container.say()
        ended = container.end()
        assert (ended.status, ended.err) == (7, ""), ended


def test_a_damaged_installation_cannot_start(installation: Installation, actor: str, damage: str) -> None:
    """Otherwise the tests above would show nothing."""
    start = [*installation.command, "--", "/bin/true"]
    script = '"$@" && exec ' + " ".join(start)
    acts = damaging(installation, damage, 0)
    words = ["unshare", "--mount", *installation.own_copy(), "sh", "-c", script, "sh", actor, *acts, "exit", "0"]
    done = subprocess.run(words, cwd="/", capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode != 0, done
