"""The stragglers in the report: whether each ended by itself, was asked, or was killed, and when."""

import json
import os
import re
import resource
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from testing.namespaces import Ended

from ..conftest import Run, Start
from ..family import Family, await_ready
from .conftest import SUBREAPER, WITHOUT_KILL

REPORTED = ["--exit-report=always", "--log-format=json"]

ALL_KINDS = """main line 7 {
    master await { pool finish 0.8 }
    slow save 0.6
    plain die
    stubborn deaf
    writer write 4 0.1 | filter filter 0.15
}"""
OUTCOMES = {
    "master": "asked",
    "pool": "ended",
    "slow": "asked",
    "plain": "asked",
    "stubborn": "killed",
    "writer": "asked",
    "filter": "ended",
}


def report(ended: Ended) -> dict[str, Any]:
    """The exit report, which is the last line."""
    record = json.loads(ended.err.splitlines()[-1])
    assert isinstance(record, dict) and record["event"] == "ended", ended
    return record


def test_each_straggler_has_its_outcome(start: Start, family: Family) -> None:
    """With its name and pid, and the seconds since it was asked, or else since the drain began."""
    container = start(*REPORTED, "--drain-timeout=6", "--", *family.words(ALL_KINDS), stdin=subprocess.PIPE)
    pids = await_ready(container, "main", *OUTCOMES)
    begin = time.monotonic()
    container.say()
    record = report(container.end())
    took = time.monotonic() - begin
    stragglers = record["stragglers"]
    assert all(set(one) == {"pid", "name", "outcome", "seconds"} for one in stragglers), stragglers
    assert {one["name"]: one["outcome"] for one in stragglers} == OUTCOMES, stragglers
    assert {one["name"]: one["pid"] for one in stragglers} == {name: pids[name] for name in OUTCOMES}, stragglers
    seconds = {one["name"]: one["seconds"] for one in stragglers}
    assert 0.6 <= seconds["slow"] <= took, seconds
    assert 0 <= seconds["plain"] <= seconds["slow"], seconds
    assert 0.4 <= seconds["writer"] <= seconds["filter"] <= took, seconds
    assert 0.7 <= seconds["pool"] <= took, seconds
    assert 5.9 <= seconds["stubborn"] <= took, seconds
    assert (record["stragglers_ended"], record["stragglers_killed"], record["stragglers_left"]) == (6, 1, 0), record
    assert record["stragglers_killed_names"] == ["stubborn"], record


def test_the_line_says_the_same_in_words(start: Start, family: Family) -> None:
    """Grouped by outcome, and then by name."""
    members = ALL_KINDS.replace("slow save 0.6", "slow save 0.6 slow save 0.1")
    container = start("--drain-timeout=6", "--", *family.words(members), stdin=subprocess.PIPE)
    await_ready(container, "main", "slow", *OUTCOMES)
    container.say()
    [line] = container.end().err.splitlines()
    duration = r"[\d.]+m?s"
    for fact in (
        rf"2 stragglers ended by themselves \((?=.*pool after {duration})(?=.*filter after {duration})",
        rf"5 stragglers ended \((?=.*master within {duration} of SIGTERM)(?=.*slow x2 within {duration} of SIGTERM)",
        rf"1 straggler killed \(stubborn after {duration}\)",
    ):
        assert re.search(f"; {fact}", line), (fact, line)


def test_without_stragglers_the_list_is_empty(run: Run) -> None:
    """The field is always present."""
    assert report(run(*REPORTED, "--", "sh", "-c", "exit 7"))["stragglers"] == []


def test_of_hundreds_of_stragglers_the_worst_are_listed(start: Start, family: Family) -> None:
    """A line has to fit into a pipe. The counters include all of them."""
    members = " ".join(["same save 0.1"] * 200)
    words = family.words(f"main line 7 {{ {members} stubborn deaf }}")
    container = start(*REPORTED, "--drain-timeout=12", "--", *words, stdin=subprocess.PIPE)
    await_ready(container, "main", "stubborn", *["same"] * 200)
    container.say()
    record = report(container.end())
    outcomes = [one["outcome"] for one in record["stragglers"]]
    assert outcomes == ["killed"] + ["asked"] * 19, record
    assert (record["stragglers_ended"], record["stragglers_ended_names"]) == (200, ["same"]), record
    assert (record["stragglers_killed"], record["stragglers_killed_names"]) == (1, ["stubborn"]), record


def test_a_straggler_that_a_subreaper_leaves_behind_is_reported_as_left(start: Start) -> None:
    """It could not be signalled, and lives on."""
    script = "setpriv --reuid=1002 --regid=1002 --clear-groups sleep 60 & "
    script += 'until [ "$(cat /proc/$!/comm)" = sleep ]; do sleep 0.02; done; echo ready; read line; exit 3'
    container = start(
        *REPORTED, "--drain-timeout=0.5", "--", "sh", "-c", script, before=[*SUBREAPER, *WITHOUT_KILL], stdin=-1
    )
    container.expect("ready")
    container.say()
    container.expect("over 3")
    container.say()
    [straggler] = report(container.end())["stragglers"]
    assert (straggler["name"], straggler["outcome"]) == ("sleep", "left"), straggler


# With --wait-for=all.


LAST = "while kill -0 $$ 2>/dev/null; do sleep 0.05; done"
"""Part of a script in the background: waits until pyinit has reaped the shell that runs the script."""


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_last_process_that_crashed_makes_an_abnormal_end(run: Run, number: signal.Signals) -> None:
    """The report names the last process and how it ended. The status is the workload's."""
    script = f'sh -c "{LAST}; sleep 0.5; kill -{number.value} \\$\\$" & echo $!; exit 3'
    for form in ("text", "json"):
        ended = run("--wait-for=all", f"--log-format={form}", "--", "sh", "-c", script, preexec_fn=_no_core)
        pid = ended.out.strip()
        assert ended.status == 3, ended
        line = ended.err.splitlines()[-1]
        message = json.loads(line)["message"] if form == "json" else line
        assert re.search(rf"\bsh \(pid {pid}\)[^;]* killed by {number.name}", message), ended
        assert form == "text" or json.loads(line)["level"] == "error", ended


def _no_core() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@pytest.mark.parametrize(
    "script",
    [
        f"({LAST}; exit 5) & exit 3",
        f"sh -c 'sleep 0.1; kill -KILL $$' & (while kill -0 $! 2>/dev/null; do sleep 0.05; done; {LAST}) & exit 3",
        f"sleep 60 & ({LAST}; kill -TERM 1) & exit 3",
    ],
    ids=["it failed", "another one crashed", "it was asked to stop"],
)
def test_a_last_process_that_did_not_crash_makes_an_ordinary_end(run: Run, script: str) -> None:
    """No other end has a line."""
    ended = run("--wait-for=all", "--", "sh", "-c", script)
    assert (ended.status, ended.err) == (3, ""), ended


# Cores.


CRASH = "ulimit -c {}; exec sh -c 'kill -SEGV $$'"


def dumps_core(folder: Path, limit: str) -> bool:
    """Does the kernel write a core for a process that crashes in this folder? (core(5): a pipe has no limit.)"""
    crash = ["sh", "-c", CRASH.format(limit)]
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        os.execvp(crash[0], crash)
    _, status = os.waitpid(child, 0)
    return os.WCOREDUMP(status)


@pytest.mark.parametrize("wait_for", ["main", "all"])
def test_a_core_dump_is_reported_if_there_is_one(run: Run, tmp_path: Path, wait_for: str) -> None:
    """Of the workload, or of the last process."""
    for limit in ("0", "unlimited"):
        has_core = dumps_core(tmp_path, limit)
        script = CRASH.format(limit)
        if wait_for == "all":
            script = f"({LAST}; sleep 0.3; {script}) & exit 3"
        ended = run(f"--wait-for={wait_for}", "--", "sh", "-c", script, cwd=tmp_path)
        assert "killed by SIGSEGV" in ended.err, ended
        assert ("core dumped" in ended.err) == has_core, (ended, has_core)
