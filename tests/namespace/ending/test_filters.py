"""A filter of pyinit's own output, as in ``exec > >(tee log) 2>&1``: it reads until pyinit, too, has closed that."""

import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testing.namespaces import IN_TIME, Container
from testing.waiting import PATIENCE

from ..conftest import Start

Filtered = Callable[..., Container]

SCRIPT = 'exec > >(touch "$1"; {}) 2>&1; until [ -e "$1" ]; do sleep 0.01; done; shift; exec "$0" "$@"'
"""Before the file is there, the pipe may not be the filter's standard input."""

STAMP = 'while IFS= read -r line; do echo "stamped: $line"; done'
"""A filter of a shell, which reads on until its input ends."""

SLOW = 'while sleep 0.1; IFS= read -r line; do echo "stamped: $line"; done'

LEFT = "(trap 'echo asked; {then}' TERM; echo ready; while :; do sleep 0.05; done)"
"""A process that the workload leaves behind."""

FAR = "--drain-timeout=1000"
"""The end does not wait for it."""


@pytest.fixture
def filtered(bare: Start, launcher: str, tmp_path: Path) -> Filtered:
    """Start pyinit with these words as PID 1, whose output and errors go through a filter."""

    def filtered(filter: str, *words: str) -> Container:
        before = [*IN_TIME, "bash", "-c", SCRIPT.format(filter), launcher, str(tmp_path / "up")]
        return bare(*before, *words, stdin=subprocess.PIPE)

    return filtered


@pytest.mark.parametrize("filter", ["cat", STAMP, SLOW, "cat | cat"])
def test_it_reads_the_report_and_ends(filtered: Filtered, filter: str) -> None:
    """Nobody is asked to end, or killed."""
    ended = filtered(filter, "-v", FAR, "--", "sh", "-c", "echo said; exit 3").end()
    assert ended.status == 3, ended
    lines = [line.removeprefix("stamped: ") for line in ended.out.splitlines()]
    assert "said" in lines and lines[-1].startswith("pyinit: sh (pid ") and "straggler" not in lines[-1], ended
    assert "asking" not in ended.out, ended


def test_a_subreaper_waits_for_it(launcher: str, tmp_path: Path) -> None:
    """Without a PID namespace, too."""
    before = [*IN_TIME, "bash", "-c", SCRIPT.format(SLOW), launcher, str(tmp_path / "up")]
    words = ["-s", "-v", FAR, "--", "sh", "-c", "echo said; exit 3"]
    ended = subprocess.run([*before, *words], capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 3 and ended.stdout.splitlines()[-1].startswith("stamped: pyinit: sh (pid "), ended


def test_what_is_left_ends_first(filtered: Filtered) -> None:
    """Its last words come through, and only it is in the report."""
    left = f"{LEFT.format(then='exit')} & read line"
    container = filtered("cat", "-v", FAR, "--", "sh", "-c", left)
    while container.line() != "ready":
        pass
    container.say()
    ended = container.end()
    assert ended.status == 0, ended
    assert "asked" in ended.out.splitlines(), ended
    last = ended.out.splitlines()[-1]
    assert re.search(r"stragglers? ended \(.*\bsh within ", last) and "cat" not in last, ended  # or its sleep, too


def test_at_the_drain_timeout_it_reads_who_was_killed(filtered: Filtered) -> None:
    """It gets the report, and ends by itself."""
    left = f"{LEFT.format(then='')} & read line"
    container = filtered("cat", "-v", "--drain-timeout=1", "--", "sh", "-c", left)
    while container.line() != "ready":
        pass
    container.say()
    lines = container.end().out.splitlines()
    assert "killed (sh after " in lines[-1], lines


def test_a_stay_that_is_stopped_does_not_wait_for_it(filtered: Filtered) -> None:
    """What is left is asked, and ends."""
    left = f"{LEFT.format(then='exit')} & exit 3"
    container = filtered("cat", "-v", "--wait-for=all", FAR, "--", "sh", "-c", left)
    lines = [container.line() for _ in range(3)]
    assert "ready" in lines and any("staying" in line for line in lines), lines
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert ended.status == 3 and "asked" in ended.out.splitlines(), ended


def test_processes_from_outside_do_not_keep_it(filtered: Filtered) -> None:
    """They are not waited for."""
    container = filtered("cat", "-v", FAR, "--", "sh", "-c", "echo ready; read line")
    lines = [container.line() for _ in range(2)]
    assert "ready" in lines, lines
    container.await_rest()
    outside = "trap '' TERM; echo outside; while :; do sleep 0.05; done"
    with subprocess.Popen([*container.enter, "sh", "-c", outside], stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout is not None and session.stdout.readline() == "outside\n"
        container.say()
        assert container.end().status == 0


def test_what_its_own_parent_has_reaped_is_in_the_report(filtered: Filtered) -> None:
    """As without a filter."""
    runs = "until [ $(cat /proc/$!/comm) = sleep ]; do :; done"
    master = f"trap 'kill $!; wait; exit' TERM; sleep 1000 & {runs}; echo ready; wait"
    container = filtered("cat", "-v", FAR, "--", "sh", "-c", f"({master}) & read line")
    while container.line() != "ready":
        pass
    container.say()
    last = container.end().out.splitlines()[-1]
    assert "sleep" in last and "sh" in last.partition("straggler")[2], last


def test_with_a_termination_log_of_another_user_it_reads_everything(filtered: Filtered, tmp_path: Path) -> None:
    """PID 1 has given up root's rights for that file."""
    options = [FAR, f"--termination-log={tmp_path}/log", "--exit-report=always", "--user=nobody"]
    ended = filtered(SLOW, *options, "--", "sh", "-c", "echo said; exit 3").end()
    assert ended.status == 3, ended
    said, report, warning = ended.out.splitlines()  # that user may not write there
    assert "said" in said and "exited with 3" in report and "cannot write to the termination log" in warning, ended


def test_one_that_does_not_end_is_killed(filtered: Filtered) -> None:
    """When the drain timeout ends. The report has gone through it by then."""
    ended = filtered("trap '' TERM; cat; exec sleep 1000", "-v", "--drain-timeout=1", "--", "sh", "-c", "exit 3").end()
    assert ended.status == 3 and "exited with 3" in ended.out.splitlines()[-1], ended


@pytest.mark.slow
def test_the_stop_timeout_gives_it_no_more_time(filtered: Filtered) -> None:
    """After a stay that ended because only the filter was left."""
    words = ["--wait-for=all", "--drain-timeout=10", "--stop-timeout=9.9", "--", "sh", "-c", "exit 3"]
    container = filtered("trap '' TERM; cat; exec sleep 1000", "-v", *words)
    while "staying" not in container.line():
        pass
    began = time.monotonic()
    container.signal(signal.SIGTERM)
    assert container.end().status == 3
    assert time.monotonic() - began < 19.9
