"""The line that says why a container has ended: on standard error, and in the termination log."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from testing import ROOT
from testing.containers import Containers, Ended, await_counters, await_output, stopped

from .test_restrictions import MAY_UNMOUNT

MEMORY: dict[str, Any] = {"mem_limit": "64m", "memswap_limit": "64m"}

ALLOCATES = "kept = []\nwhile True: kept.append(bytearray(1 << 20))"
ALLOCATES_IN_A_CHILD = 'python3 -c "$0"; echo "child: $?"; exit 5'

LIMIT = "the cgroup's limit is 64 MiB"

LEAVES_A_STRAGGLER = "trap '' TERM; sleep 100 & until grep -q sleep /proc/$!/comm; do :; done; exit 3"
BRIEF = {"PYINIT_DRAIN_TIMEOUT": "1"}

UNWRITABLE: dict[str, tuple[str, dict[str, Any], str]] = {
    "read-only root": ("/termination-log", {"read_only": True}, "Read-only file system"),
    "another user's folder": ("/termination-log", {"user": "1000:1000"}, "Permission denied"),
    "full disk": ("/dev/full", {}, "No space left on device"),
    "folder": ("/tmp", {}, "Is a directory"),
    "no such folder": ("/none/termination-log", {}, "No such file or directory"),
}

QUIET = {
    "dies of TERM": (143, "echo ready; exec sleep 100"),
    "exits with 0 on TERM": (0, "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"),
    "leaves a child that dies of TERM": (143, "sleep 100 & echo ready; exec sleep 100"),
}


def fields(end: Ended) -> dict[str, Any]:
    """The report of a container that logs JSON; fails if there are other lines, or undocumented fields."""
    [line] = end.errors.splitlines()
    found: dict[str, Any] = json.loads(line)
    page = (ROOT / "docs/log.md").read_text().partition("\n## The end\n")[2]
    cells = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    assert set(found) == {"time", "level", "event", "message", *re.findall(r"`(\w+)`", "".join(cells))}, found
    return found


@pytest.mark.parametrize("status", [0, 3])
def test_exit_by_itself_is_not_reported(containers: Containers, status: int) -> None:
    """Whatever its status, an ordinary command leaves nothing on standard error."""
    end = containers.run("sh", "-c", f"(sleep 0.1 &); exit {status}")
    assert (end.status, end.errors) == (status, "")


@pytest.mark.parametrize(("status", "workload"), QUIET.values(), ids=QUIET)
def test_end_that_was_asked_for_is_not_reported(containers: Containers, status: int, workload: str) -> None:
    """For example, after `docker stop`."""
    container = containers.start("sh", "-c", workload)
    await_output(container, "ready")
    end = stopped(container)
    assert (end.status, end.errors) == (status, "")


@pytest.mark.each_base
def test_death_by_a_signal_that_was_not_forwarded_is_reported(containers: Containers) -> None:
    """For example, a program that crashes."""
    end = containers.run("sh", "-c", "sleep 0.1; kill -SEGV $$")
    assert end.status == 139, end
    line = (
        r"pyinit: sh \(pid \d+\) was killed by SIGSEGV( \(core dumped\))? after \d[\d.]*m?s; .*, \d+ MiB peak memory\n"
    )
    assert re.fullmatch(line, end.errors), end


def test_workload_that_runs_out_of_memory_is_reported(containers: Containers) -> None:
    """The status is 137, though no user killed the container. The line names the cause and the limit."""
    end = containers.run("python3", "-c", ALLOCATES, **MEMORY)
    assert end.status == 137, end
    line = (
        r"pyinit: python3 \(pid \d+\) was killed by SIGKILL after \d[\d.]*m?s: "
        rf"out of memory \({LIMIT}, 1 kill\); .*\n"
    )
    assert re.fullmatch(line, end.errors), end


def test_child_that_runs_out_of_memory_is_reported_as_a_child(containers: Containers) -> None:
    """The workload runs on, and exits with a status of its own."""
    end = containers.run("sh", "-c", ALLOCATES_IN_A_CHILD, ALLOCATES, **MEMORY)
    assert (end.status, end.output) == (5, "child: 137\n"), end
    *_, last = end.errors.splitlines()  # the shell may say "Killed"
    line = (
        r"pyinit: sh \(pid \d+\) exited with 5 after \d[\d.]*m?s; "
        rf"1 other process killed: out of memory \({LIMIT}\); .*"
    )
    assert re.fullmatch(line, last), end


def test_no_cause_is_claimed_if_the_cgroup_cannot_be_read(containers: Containers) -> None:
    """Without the files of the cgroup the report only has the SIGKILL."""
    unmount = "cut -d' ' -f2 /proc/mounts | grep ^/sys/fs/cgroup | sort -r | xargs -n1 umount -l"
    command = f'{unmount} && exec pyinit -- python3 -c "$0"'
    end = containers.run("-c", command, ALLOCATES, entrypoint=["sh"], **MEMORY, **MAY_UNMOUNT)
    assert end.status == 137, end
    assert re.fullmatch(r"pyinit: python3 \(pid \d+\) was killed by SIGKILL after [^:]*\n", end.errors), end


@pytest.mark.each_base
def test_end_that_was_asked_for_as_fields(containers: Containers) -> None:
    """With --log-format=json: which sender asked for it, and how it ended."""
    environment = {"PYINIT_EXIT_REPORT": "always", "PYINIT_LOG_FORMAT": "json"}
    container = containers.start_sleeper(environment=environment)
    await_counters(container)  # by then it has found its cgroup, too: in a very short run the kills are null
    found = fields(stopped(container))
    expected = {
        "level": "info",
        "event": "ended",
        "name": "sh",
        "status": 143,
        "exit_status": 143,
        "killed_by": "SIGTERM",
        "signal": "SIGTERM",
        "sender_pid": 0,
        "killed_after_seconds": None,
        "stragglers_ended": 0,
        "stragglers_ended_names": [],
        "stragglers_killed": 0,
        "stragglers_killed_names": [],
        "stragglers_left": 0,
        "stragglers_left_names": [],
        "orphans_reaped": 0,
        "oom_kills": 0,
    }
    assert {name: found[name] for name in expected} == expected, found
    assert found["seconds"] >= found["signal_seconds"] >= 0 and found["peak_memory_bytes"] > 1 << 20


def test_stragglers_and_a_mapped_status_as_fields(containers: Containers) -> None:
    """Both statuses are included: the workload's and the container's."""
    environment = {"PYINIT_LOG_FORMAT": "json", "PYINIT_REMAP_EXIT": "3:4", **BRIEF}
    end = containers.run("sh", "-c", LEAVES_A_STRAGGLER, environment=environment)
    found = fields(end)
    assert (end.status, found["status"], found["exit_status"], found["level"]) == (4, 3, 4, "error"), found
    assert (found["killed_by"], found["stragglers_killed_names"]) == (None, ["sleep"]), found
    assert (found["stragglers_ended"], found["stragglers_killed"]) == (0, 1), found


@pytest.mark.each_base
def test_out_of_memory_as_fields(containers: Containers) -> None:
    """The kills and the bytes are numbers."""
    found = fields(containers.run("python3", "-c", ALLOCATES, environment={"PYINIT_LOG_FORMAT": "json"}, **MEMORY))
    assert (found["killed_by"], found["exit_status"], found["oom_kills"]) == ("SIGKILL", 137, 1), found
    assert found["memory_limit_bytes"] == 64 << 20, found
    assert found["peak_memory_bytes"] > 32 << 20, found


@pytest.mark.each_base
@pytest.mark.parametrize(
    ("status", "words"),
    [(137, ("sh", "-c", "kill -KILL $$")), (127, ("no-such-program",))],
    ids=["killed", "never started"],
)
def test_termination_log_has_the_same_line(
    containers: Containers, tmp_path: Path, status: int, words: tuple[str, ...]
) -> None:
    """It is a file mounted into the container, as in Kubernetes, that a user without privileges may write."""
    log = tmp_path / "termination-log"
    log.touch()
    log.chmod(0o666)
    end = containers.run(
        *words,
        user="1000:1000",
        read_only=True,
        environment={"PYINIT_TERMINATION_LOG": "/dev/termination-log"},
        volumes={str(log): {"bind": "/dev/termination-log", "mode": "rw"}},
    )
    assert end.status == status, end
    assert end.errors.startswith("pyinit: ") and end.errors.count("\n") == 1, end
    assert log.read_text() == end.errors


def test_termination_log_stays_empty_if_the_end_is_not_reported(containers: Containers, tmp_path: Path) -> None:
    """It gets only the line of standard error."""
    log = tmp_path / "termination-log"
    log.touch()
    end = containers.run(
        *("sh", "-c", "exit 3"),
        environment={"PYINIT_TERMINATION_LOG": "/dev/termination-log"},
        volumes={str(log): {"bind": "/dev/termination-log", "mode": "rw"}},
    )
    assert (end.status, end.errors, log.read_text()) == (3, "", "")


@pytest.mark.parametrize(("path", "options", "reason"), UNWRITABLE.values(), ids=UNWRITABLE)
def test_termination_log_that_cannot_be_written_is_a_warning(
    containers: Containers, path: str, options: dict[str, Any], reason: str
) -> None:
    """The warning follows the report, and the status is the same."""
    end = containers.run("sh", "-c", "kill -KILL $$", environment={"PYINIT_TERMINATION_LOG": path}, **options)
    assert end.status == 137, end
    report, warning = end.errors.splitlines()
    assert report.startswith("pyinit: sh (pid "), end
    assert warning == f"pyinit: cannot write to the termination log '{path}': {reason}"
