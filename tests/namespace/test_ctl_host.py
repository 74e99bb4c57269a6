"""``pyinitctl host``: the containers of a machine. Here the machine is a PID namespace with others inside of it."""

import json
import os
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text_format

import pyinit
from testing.namespaces import Container, python
from testing.waiting import PATIENCE, eventually

from .conftest import Ctl, Start, await_counters

INSIDE = "this is not the PID namespace of a host: other containers are not visible"
OTHER = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
"""As another user."""

LEAK = """if True:
    import posix, _signal
    for _ in range({zombies} - 1):
        if posix.fork() == 0:
            posix._exit(0)
    if posix.fork() == 0:
        posix.fork() or posix._exit(0)
        posix._exit(0)
    while True:
        _signal.pause()
"""
"""A workload with zombies, one of which had a child that was reaped as an orphan."""

Told = Callable[..., list[dict[str, Any]]]


def listed(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """What this ``host --json`` lists; nothing if it could not see everything, as while something starts."""
    is_complete = (done.returncode, done.stderr) == (0, f"pyinitctl: {INSIDE}\n")
    found: list[dict[str, Any]] = json.loads(done.stdout)["containers"] if is_complete else []
    return found


@pytest.fixture
def told(ctl: Ctl) -> Told:
    """What ``host --json`` lists."""
    return lambda machine, *words: listed(ctl(machine, "host", "--json", *words))


@pytest.fixture
def machine(bare: Start, launcher: str, told: Told) -> Container:
    """A machine with one container that has pyinit, another that has not, and a zombie of its own."""
    nested = "unshare --pid --fork --mount-proc"
    script = f"""
        {nested} {launcher} -- "$@" &
        {nested} sleep 1000 &
        (sleep 0.01 & exec {nested} sleep 1000) &
        while true; do sleep 1000; done
    """
    workload = python(LEAK.format(zombies=3))
    machine = bare("sh", "-c", script, "sh", *workload)

    def is_complete(listed: list[dict[str, Any]]) -> bool:
        seen = [(one["zombies"], one["orphans_reaped"], one["workload"]) for one in by_pid(listed)]
        sleeper = (0, None, "sleep")
        return [one[:2] for one in seen[:2]] == [(1, None), (3, 1)] and seen[2:] == [sleeper, sleeper]

    eventually(lambda: told(machine), holds=is_complete)
    return machine


def by_pid(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The host first, then the containers with pyinit."""
    return sorted(listed, key=lambda one: (one["pid"] is not None, not one["has_pyinit"], one["pid"]))


def test_each_container_is_listed_with_and_without_pyinit(machine: Container, told: Told) -> None:
    """One without a name by the pid of its first process; the host only because it has a zombie."""
    host, with_pyinit, *without = by_pid(told(machine))
    assert (host["pid"], host["has_pyinit"], host["zombies"]) == (None, None, 1)
    assert [one["name"] for one in host["parents"]] == ["unshare"]
    assert with_pyinit["version"] == pyinit.__version__
    assert (with_pyinit["workload"][:6], with_pyinit["stage"]) == ("python", "running")
    assert (with_pyinit["orphans_reaped"], with_pyinit["log_lines_dropped"], with_pyinit["zombies"]) == (1, 0, 3)
    [parent] = with_pyinit["parents"]
    assert (parent["zombies"], parent["kind"]) == (3, "unreaped")
    assert parent["pid"] != with_pyinit["pid"]
    assert 0 <= with_pyinit["oldest_zombie_seconds"] < PATIENCE
    assert abs(time.time() - with_pyinit["started"]) < PATIENCE
    assert [(one["has_pyinit"], one["workload"], one["version"], one["zombies"]) for one in without] == [
        (False, "sleep", None, 0)
    ] * 2
    assert all(abs(time.time() - one["started"]) < PATIENCE for one in without)


def test_the_text_has_a_line_for_each(machine: Container, ctl: Ctl) -> None:
    """And how many of them there are."""
    lines = ctl(machine, "host").stdout.splitlines()
    titles = " ".join(lines[0].split())
    assert titles == "CONTAINER IMAGE PYINIT WORKLOAD UPTIME STAGE REAPED OOM KILLS LINES LOST ZOMBIES"
    [host] = [line for line in lines if line.startswith("(the host)  ")]
    assert "  1 of unshare (pid " in host
    [with_pyinit] = [line for line in lines if f" {pyinit.__version__} " in line]
    assert with_pyinit.startswith("(pid ") and " running " in with_pyinit and "  3 of python" in with_pyinit
    assert sum(" none " in line and " sleep " in line for line in lines) == 2
    assert lines[5:] == ["", "3 containers, 1 with pyinit; 4 zombies"]


def test_the_metrics_are_read_alike_by_both_parsers(machine: Container, ctl: Ctl, told: Told) -> None:
    """That of Prometheus' text format, for the textfile collector, and that of OpenMetrics."""
    text = ctl(machine, "host", "--prometheus").stdout
    assert text.endswith("\n# EOF\n")
    families = list(open_metrics(text))  # type: ignore[no-untyped-call]
    assert [(one.name, one.samples) for one in text_format(text)] == [(one.name, one.samples) for one in families]
    assert all(one.documentation for one in families)
    _, with_pyinit, first, second = [str(one["pid"]) for one in by_pid(told(machine))]
    values = {(sample.name, *sample.labels.values()): sample.value for one in families for sample in one.samples}
    for name in ("host_scrape_duration_seconds", "last_run_timestamp_seconds"):
        assert values.pop((f"pyinit_{name}",)) > 0
    assert values.pop(("pyinit_oldest_zombie_seconds", "(the host)")) >= 0
    assert values.pop(("pyinit_oldest_zombie_seconds", with_pyinit)) >= 0
    for pid in (with_pyinit, first, second):
        assert abs(time.time() - values.pop(("pyinit_start_time_seconds", pid))) < PATIENCE
    [workload] = [key[-1] for key in values if key[:2] == ("pyinit_container_info", with_pyinit)]
    stages = ("running", "staying", "draining", "killing", "over")
    expected: dict[tuple[str, ...], float] = {
        ("pyinit_container_info", with_pyinit, pyinit.__version__, workload): 1,
        ("pyinit_container_info", first, "sleep"): 1,
        ("pyinit_container_info", second, "sleep"): 1,
        ("pyinit_up", with_pyinit): 1,
        **{("pyinit_stage", with_pyinit, stage): int(stage == "running") for stage in stages},
        ("pyinit_orphans_reaped_total", with_pyinit): 1,
        ("pyinit_log_lines_dropped_total", with_pyinit): 0,
        ("pyinit_zombies", "(the host)"): 1,
        ("pyinit_zombies", with_pyinit): 3,
        ("pyinit_zombies", first): 0,
        ("pyinit_zombies", second): 0,
    }
    assert values == expected


def test_a_start_time_stays_the_same(machine: Container, told: Told) -> None:
    """Otherwise each look would be a restart to Prometheus."""
    first, second = ([one["started"] for one in by_pid(told(machine))] for _ in range(2))
    assert first[:2] == second[:2]
    assert first[2:] == pytest.approx(second[2:], abs=0.11)


def test_a_pyinit_on_the_host_itself_is_listed(bare: Start, launcher: str, told: Told) -> None:
    """With the zombies of its descendants; it is in no container."""
    words = [launcher, "--subreaper", "--", *python(LEAK.format(zombies=2))]
    machine = bare("sh", "-c", '"$@" & while true; do sleep 1000; done', "sh", *words)
    [found] = eventually(
        lambda: told(machine),
        holds=lambda listed: [(one["zombies"], one["orphans_reaped"]) for one in listed] == [(2, 1)],
    )
    assert (found["has_pyinit"], found["engine"]) == (True, None)


def test_a_workload_that_has_ended_is_down(start: Start, ctl: Ctl) -> None:
    """While pyinit waits for the rest, or asks it to end."""
    machine = start("--wait-for=all", "--", "sh", "-c", "sleep 1000 & exit 0")
    eventually(lambda: ctl(machine, "host", "--prometheus").stdout, holds=lambda text: 'pyinit_up{pid="1"} 0\n' in text)
    assert 'pyinit_stage{pid="1",stage="staying"} 1\n' in ctl(machine, "host", "--prometheus").stdout


def test_another_user_is_told_what_is_hidden(machine: Container, ctl: Ctl) -> None:
    """In one line; the status is 0."""
    done = ctl(machine, "host", before=OTHER)
    assert done.returncode == 0
    # Without the right to see PID namespaces, their processes are those of the host.
    assert done.stdout.splitlines()[1].startswith("(the host)  ")
    assert "; 4 zombies" in done.stdout
    [hidden, inside] = done.stderr.splitlines()
    assert hidden.startswith("pyinitctl: not visible to uid 12345: the PID namespaces of ")
    assert inside == f"pyinitctl: {INSIDE}"


def test_a_file_is_replaced_at_once(machine: Container, ctl: Ctl, tmp_path: Path) -> None:
    """Everybody may read it, whatever the umask; a link to it stays one; nothing else is left."""
    file, link = tmp_path / "pyinit.prom", tmp_path / "link.prom"
    file.write_text("old")
    before = file.stat().st_ino
    link.symlink_to(file)
    done = ctl(machine, "host", "--prometheus", f"--output={link}", before=["sh", "-c", 'umask 077; exec "$@"', "sh"])
    assert (done.returncode, done.stdout) == (0, "")
    assert file.read_text().endswith("\n# EOF\n")
    assert (stat.S_IMODE(file.stat().st_mode), file.stat().st_ino != before, link.is_symlink()) == (0o644, True, True)
    assert sorted(os.listdir(tmp_path)) == ["link.prom", "pyinit.prom"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing/x.prom", "No such file or directory"),
        ("device", "it is not a regular file"),
        ("folder", "it is not a regular file"),
        ("new/", "it is not a regular file"),
        ("x.prom", "File too large"),
    ],
)
def test_a_file_that_cannot_be_written_stays_as_it_was(
    start: Start, ctl: Ctl, tmp_path: Path, name: str, why: str
) -> None:
    """One line and 3; no temporary file is left."""
    machine = start("--", "sleep", "1000")
    machine.await_rest()
    (tmp_path / "folder").mkdir()
    (tmp_path / "x.prom").write_text("old")
    os.mknod(tmp_path / "device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    before = sorted(os.listdir(tmp_path))
    limited = ["prlimit", "--fsize=0"] if name == "x.prom" else []
    done = ctl(machine, "host", f"--output={tmp_path}/{name}", before=limited)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"pyinitctl: cannot write {tmp_path}/{name}: {why}\n"
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "x.prom").read_text() == "old"
    assert stat.S_ISCHR((tmp_path / "device").stat().st_mode)


@pytest.mark.parametrize("output", ["-", "/dev/stdout"])
def test_a_file_that_is_standard_output_is_not_replaced(start: Start, ctl: Ctl, tmp_path: Path, output: str) -> None:
    """What others have written there stays."""
    machine = start("--", "sleep", "1000")
    await_counters(machine)
    file = tmp_path / "log"
    file.write_text("before\n")
    append = ["sh", "-c", f'cd {tmp_path} && "$@" >>{file}', "sh"]
    assert ctl(machine, "host", f"--output={output}", before=append).returncode == 0
    said = file.read_text().splitlines()
    assert (said[0], said[-1]) == ("before", "1 container, 1 with pyinit; 0 zombies")
    assert os.listdir(tmp_path) == ["log"]


PRETENDS = """if True:
    import os, sys, time
    with open(os.memfd_create("pyinit-status"), "wb", buffering=0) as file:
        file.write(sys.argv[1].encode())
        for _ in range(int(sys.argv[2]) - 1):
            if os.fork() == 0:
                break
        time.sleep(1000)
"""
"""Looks like so many pyinits, with these counters."""


def test_programs_that_look_like_pyinit_do_not_hold_it_up(bare: Start, ctl: Ctl) -> None:
    """However many users run. It waits for counters that cannot be read, but not for each."""
    machine = bare(*python(PRETENDS, "nonsense", "30"))
    eventually(lambda: ctl(machine, "host"), holds=lambda done: "\n30 containers, 30 with pyinit" in done.stdout)

    def seconds() -> float:
        began = time.monotonic()
        assert "damaged (and 29 more)" in ctl(machine, "host").stderr
        return time.monotonic() - began

    eventually(seconds, holds=lambda took: took < 15)  # with a wait for each, it never does
