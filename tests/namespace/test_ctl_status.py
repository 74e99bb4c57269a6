"""pyinitctl status: what a running pyinit publishes, and the errors if it cannot be read."""

import errno
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

import pyinit
from pyinit.ctl import published
from pyinit.kernel import procfs
from testing.namespaces import Container, python
from testing.processes import descriptors
from testing.waiting import PATIENCE, eventually

from .conftest import STAYS, Ctl, Run, Start

Told = Callable[..., dict[str, Any]]

OTHER = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
"""As another user."""

WITHOUT_PTRACE = ["setpriv", "--inh-caps=-sys_ptrace", "--bounding-set=-sys_ptrace"]
"""As with docker exec: root can look only into processes that have no more capabilities."""


@pytest.fixture
def ask(ctl: Ctl) -> Ctl:
    """Run ``pyinitctl status`` in a container, as ``docker exec`` does; ``before`` are words put in front of it."""
    return lambda container, *words, **options: ctl(container, "status", *words, **options)


@pytest.fixture
def told(ask: Ctl) -> Told:
    """The output of ``status --json``."""

    def told(container: Container, *words: str, before: list[str] | None = None) -> dict[str, Any]:
        done = ask(container, "--json", *words, before=before or ())
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {"stage": done.stderr}

    return told


def becomes(look: Callable[[], object], wanted: object) -> None:
    """Wait until `look` returns `wanted`."""
    eventually(look, f"{wanted}", holds=lambda seen: seen == wanted)


def is_published(container: Container, ask: Ctl) -> None:
    """Wait until there are counters."""
    becomes(lambda: ask(container).returncode, 0)


def test_it_shows_the_workload_and_the_orphans_reaped(start: Start, ask: Ctl, told: Told) -> None:
    """As text and as JSON."""
    container = start("--", "sh", "-c", "for i in 1 2 3; do (true &); done; read line", stdin=subprocess.PIPE)
    container.await_rest()
    becomes(lambda: told(container).get("orphans_reaped"), 3)
    seen = told(container)
    assert (seen["version"], seen["pid"], seen["stage"]) == (pyinit.__version__, 1, "running")
    workload = seen["workload"]
    assert (workload["pid"], workload["name"], workload["status"], workload["killed_by"]) == (2, "sh", None, None)
    assert workload["ended_seconds_ago"] is None
    assert 0 < workload["seconds"] == seen["uptime_seconds"] < PATIENCE
    assert (seen["log_lines_dropped"], seen["signals_forwarded"]) == (0, [])
    lines = ask(container).stdout.splitlines()
    assert lines[0] == f"pyinit    {pyinit.__version__}, pid 1"
    assert lines[1].startswith("workload  sh (pid 2), running for ")
    assert lines[2:] == [
        "stage     running",
        "orphans   3 reaped",
        "log       0 lines dropped",
        "signals   none forwarded",
    ]


FAKE_CGROUP = """
for old in $(awk '/ - cgroup .*memory/ {print $5}' /proc/self/mountinfo); do umount -l "$old"; done
mount -t cgroup2 none "$0" && mount -t tmpfs none "$0" && folder=$0$(sed -n s/^0:://p /proc/self/cgroup) &&
mkdir -p "$folder" && echo "$1" >"$folder/memory.oom.group" && shift && exec "$@"
"""
"""Puts a file of our own where the cgroup is mounted."""


@pytest.mark.parametrize(("setting", "is_set"), [("1", True), ("0", False)])
def test_it_shows_whether_the_kernel_kills_all_processes_at_once(
    start: Start, ask: Ctl, told: Told, tmp_path: Path, setting: str, is_set: bool
) -> None:
    """With memory.oom.group, as on Kubernetes, PID 1 cannot report that it ran out of memory."""
    before = ["sh", "-c", FAKE_CGROUP, str(tmp_path), setting]
    container = start("--", "sh", "-c", "read line", before=before, stdin=subprocess.PIPE)
    is_published(container, ask)
    for words in ((), ("-p", "1")):
        assert told(container, *words)["oom_group"] is is_set
        lines = [line for line in ask(container, *words).stdout.splitlines() if line.startswith("memory")]
        assert len(lines) == is_set and all("memory.oom.group is set" in line for line in lines)


def test_it_shows_who_sent_a_signal(start: Start, ask: Ctl, told: Told) -> None:
    """From inside or outside of the PID namespace. A sender that still runs has its name, any other its pid."""
    program = "trap : HUP USR1 TERM; kill -HUP 1; kill -HUP 1; echo sent; while :; do sleep 0.05; done"
    container = start("--", "sh", "-c", program)
    container.expect("sent")
    container.await_rest()
    container.signal(signal.SIGUSR1)
    container.signal(signal.SIGTERM)

    def senders() -> list[list[object]]:
        names = ("signal", "sender_pid", "sender_uid", "origin")
        forwarded = told(container).get("signals_forwarded", [])
        return sorted([one[name] for name in names] for one in forwarded)

    becomes(
        senders,
        [
            ["SIGHUP", 2, 0, "from pid 2 (sh, uid 0)"],
            ["SIGTERM", 0, 0, "from outside the container"],
            ["SIGUSR1", 0, 0, "from outside the container"],
        ],
    )
    lines = ask(container).stdout.splitlines()[5:]
    assert lines[0].startswith("signals   SIG") and all(line.startswith("          SIG") for line in lines[1:])
    assert any("SIGTERM 1 time, from outside the container, " in line and line.endswith(" ago") for line in lines)


def test_a_process_with_the_pid_of_an_exited_sender_is_not_taken_for_the_sender(start: Start, told: Told) -> None:
    """The sender has exited, and the process that has its pid now was started later."""
    program = """
        trap : HUP
        sh -c 'echo $$; kill -HUP 1'
        until read pid && test "$pid"; do :; done
        for i in 1 2 3 4 5 6 7 8 9; do
            echo $((pid - 1)) > /proc/sys/kernel/ns_last_pid; sleep 1000 & test $! = $pid && break
        done
        echo $!; while :; do read line; done
    """
    container = start("--", "sh", "-c", program, stdin=subprocess.PIPE)
    pid = container.line()
    becomes(lambda: [one["signal"] for one in told(container).get("signals_forwarded", [])], ["SIGHUP"])
    container.say(pid)
    container.expect(pid)
    (seen,) = told(container)["signals_forwarded"]
    assert seen["origin"] == f"from pid {pid} (uid 0)"


@pytest.mark.parametrize(
    ("options", "stage", "words"),
    [
        (["--drain-timeout=600"], "draining", "draining: the remaining processes are being asked to end"),
        (["--wait-for=all"], "staying", "staying until the last process has ended"),
    ],
)
def test_it_shows_the_stages_of_the_end(
    start: Start, ask: Ctl, told: Told, options: list[str], stage: str, words: str
) -> None:
    """And how the workload ended."""
    program = '"$@" & read line; exit 3'
    container = start(*options, "--", "sh", "-c", program, "sh", *python(STAYS), stdin=subprocess.PIPE)
    container.expect("ready")
    container.await_rest()
    container.say()
    if stage == "draining":  # not sooner: a pyinitctl that is in the container when the drain begins would be asked
        container.expect("asked")
    becomes(lambda: published.read(container.init).stage, stage)
    assert told(container)["stage"] == stage
    workload = told(container)["workload"]
    assert (workload["status"], workload["killed_by"]) == (3, None)
    assert 0 < workload["ended_seconds_ago"] < PATIENCE
    lines = ask(container).stdout.splitlines()
    assert lines[1].startswith("workload  sh (pid 2) exited with 3 after ")
    assert lines[2] == f"stage     {words}"


def test_it_shows_which_signal_ended_the_workload(start: Start, told: Told) -> None:
    """The status is 128 and the signal, as in a shell."""
    container = start("--wait-for=all", "--", "sh", "-c", "sleep 1000 & kill -KILL $$", stdout=subprocess.DEVNULL)
    becomes(lambda: told(container)["stage"], "staying")
    workload = told(container)["workload"]
    assert (workload["status"], workload["killed_by"]) == (137, "SIGKILL")


def test_a_pause_has_no_workload(start: Start, ask: Ctl, told: Told) -> None:
    """Nor the end of one."""
    container = start("--pause")
    is_published(container, ask)
    seen = told(container)
    assert (seen["workload"], seen["stage"]) == (None, "running")
    assert ask(container).stdout.splitlines()[1].startswith("workload  none (--pause), for ")
    assert "\npyinit_workload_up " not in ask(container, "--prometheus").stdout


def test_prometheus_reads_the_metrics(start: Start, ask: Ctl, told: Told) -> None:
    """Its parser and that of OpenMetrics find the same, zombies included."""
    program = """if True:
        import os, signal, time
        signal.signal(signal.SIGHUP, lambda *_: None)
        for _ in range(3):
            if os.fork() == 0:
                os._exit(0)
        if os.fork() == 0:
            if os.fork() == 0:
                os._exit(0)
            os._exit(0)
        os.kill(1, signal.SIGHUP)
        while True:
            time.sleep(60)
    """
    container = start("--", *python(program.replace("import os, signal", "import posix as os, _signal as signal")))
    becomes(lambda: told(container).get("orphans_reaped"), 1)
    becomes(lambda: [one["count"] for one in told(container)["signals_forwarded"]], [1])
    container.await_zombies(4)
    text = ask(container, "--prometheus").stdout
    found = list(text_string_to_metric_families(text))
    also = list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    assert [(one.name, one.samples) for one in also] == [(one.name, one.samples) for one in found]
    assert all(one.type == ("unknown" if one.name.endswith("_total") else "gauge") for one in found)
    samples = {(sample.name, *sample.labels.values()): sample.value for one in found for sample in one.samples}
    assert 0 < samples.pop(("pyinit_uptime_seconds",)) < PATIENCE
    assert samples == {
        ("pyinit_info", pyinit.__version__): 1,
        ("pyinit_workload_up",): 1,
        ("pyinit_stage", "running"): 1,
        ("pyinit_stage", "staying"): 0,
        ("pyinit_stage", "draining"): 0,
        ("pyinit_stage", "killing"): 0,
        ("pyinit_stage", "over"): 0,
        ("pyinit_orphans_reaped_total",): 1,
        ("pyinit_signals_forwarded_total", "SIGHUP"): 1,
        ("pyinit_log_lines_dropped_total",): 0,
        ("pyinit_zombies",): 4,
    }


@pytest.mark.parametrize("words", [[], ["-p"]], ids=["found", "named"])
def test_a_pyinit_that_is_not_pid_1_is_found(start: Start, told: Told, words: list[str]) -> None:
    """If PID 1 is not pyinit, as in a pod that shares its process namespace."""
    container = start("--", "sleep", "1000", before=["sh", "-c", '"$@" & echo $!; wait', "sh"])
    pid = container.line()
    words = [*words, pid] if words else []
    becomes(lambda: told(container, *words).get("pid"), int(pid))
    assert told(container, *words)["workload"]["name"] == "sleep"


def test_a_pyinit_of_another_container_is_not_taken_for_ours(start: Start, ask: Ctl) -> None:
    """Nor one with another root folder. The error says that PID 1 is not pyinit."""
    before = ["sh", "-c", 'unshare --mount "$@" & wait', "sh"]
    container = start("--", "sh", "-c", "echo started; sleep 1000", before=before)
    container.expect("started")
    done = ask(container)
    assert (done.returncode, done.stdout) == (3, "")
    complaint = "publishes no counters: it is not pyinit (name one with -p PID), or it has only just started"
    assert done.stderr == f"pyinitctl: pid 1 (sh) {complaint}\n"


def test_a_pyinit_is_looked_at_from_the_host(start: Start, bin_folder: Path) -> None:
    """By its pid there. The pids that it shows are those of its own PID namespace."""
    container = start("--", "sleep", "1000")
    container.await_rest()
    command = [str(bin_folder / "pyinitctl"), "status", "--json", "-p", str(container.init)]
    becomes(lambda: subprocess.run(command, capture_output=True).returncode, 0)
    seen = json.loads(subprocess.run(command, capture_output=True).stdout)
    assert (seen["pid"], seen["workload"]["pid"]) == (1, 2)


def test_another_user_is_told_which_user_to_be(start: Start, ask: Ctl) -> None:
    """One line, and 3."""
    container = start("--", "sleep", "1000")
    is_published(container, ask)
    done = ask(container, before=OTHER)
    who = "pid 1 belongs to user 0:0 and pyinitctl runs as 12345:12345"
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"pyinitctl: {who}: run it as that user (docker exec -u 0:0)\n"


def test_the_same_user_may_look_and_root_without_capabilities_may_not(start: Start, ask: Ctl) -> None:
    """In a container that does not run as root, as most should not."""
    container = start("--", "sleep", "1000", before=OTHER)
    try:
        becomes(lambda: ask(container, before=OTHER).returncode, 0)
        done = ask(container, before=WITHOUT_PTRACE)
    finally:
        container.signal(signal.SIGKILL)  # the other user has not inherited that it is killed with unshare
    who = "pid 1 belongs to user 12345:12345 and pyinitctl runs as 0:0"
    assert (done.returncode, done.stderr) == (
        3,
        f"pyinitctl: {who}: run it as that user (docker exec -u 12345:12345)\n",
    )


def test_a_user_with_fewer_capabilities_is_told_so(start: Start, ask: Ctl) -> None:
    """Though it is the right user."""
    container = start("--", "sleep", "1000")
    is_published(container, ask)
    done = ask(container, before=WITHOUT_PTRACE)
    reason = "it has capabilities that pyinitctl lacks"
    assert (done.returncode, done.stderr) == (3, f"pyinitctl: cannot inspect pid 1: {reason}\n")


def test_a_proc_that_hides_processes_is_reported(start: Start, ask: Ctl) -> None:
    """Mounted with hidepid=2, it shows no processes of other users."""
    hide = ["sh", "-c", 'mount -o remount,hidepid=2 /proc && exec "$@"', "sh"]
    container = start("--", "sleep", "1000", before=hide)
    is_published(container, ask)
    done = ask(container, before=OTHER)
    assert (done.returncode, done.stderr) == (
        3,
        "pyinitctl: /proc is mounted with hidepid and hides pid 1 from uid 12345: "
        "run pyinitctl as the user of that process (docker exec -u)\n",
    )


def test_the_proc_of_another_namespace_is_not_looked_at(start: Start, ask: Ctl, bin_folder: Path) -> None:
    """Its PID 1 is another process."""
    container = start("--", "sleep", "1000")
    is_published(container, ask)
    command = ["nsenter", f"--target={container.init}", "--pid", "--", str(bin_folder / "pyinitctl"), "status"]
    done = subprocess.run(command, capture_output=True, text=True)
    complaint = "/proc is not mounted, or is that of another PID namespace"
    assert (done.returncode, done.stderr) == (3, f"pyinitctl: {complaint}\n")


def test_a_file_size_limit_of_0_costs_only_the_counters(start: Start, ask: Ctl) -> None:
    """They cannot be written then. Everything else works."""
    program = "trap 'exit 5' TERM; (true &); echo ready; while :; do sleep 0.05; done"
    limited = ["prlimit", "--fsize=0"]
    container = start("-v", "--", "sh", "-c", program, before=limited)
    container.expect("ready")
    container.await_rest()
    done = ask(container)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.endswith("it has only just started, or may write no file (ulimit -f)\n")
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert ended.status == 5
    assert "SIGXFSZ" not in ended.err and "carrying on" not in ended.err


def test_a_small_file_size_limit_costs_only_the_counters(start: Start, ask: Ctl) -> None:
    """They fit until they grow. Then there is one line in the log, and no wrong numbers are shown."""
    program = "trap 'exit 5' TERM; trap : HUP USR1 USR2 WINCH; echo ready; while :; do sleep 0.05; done"
    container = start("-v", "--", "sh", "-c", program, before=["prlimit", "--fsize=300"])
    container.expect("ready")
    is_published(container, ask)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        container.signal(number)
    done = eventually(lambda: ask(container), "the counters no longer fit", holds=lambda done: done.returncode == 3)
    assert done.stdout == ""
    assert done.stderr == (
        "pyinitctl: the counters of pid 1 cannot be read: they are being written all the time, or are damaged\n"
    )
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert ended.status == 5
    assert ended.err.count("cannot publish the counters for pyinitctl: File too large\n") == 1, ended
    assert "SIGXFSZ" not in ended.err and "carrying on" not in ended.err


@pytest.mark.parametrize("options", [[], ["--zombie-watch=0.02"]])
def test_the_counters_are_never_far_out_of_date(start: Start, ask: Ctl, options: list[str]) -> None:
    """Also while signals come without a pause."""
    program = (
        "import _signal; _signal.signal(64, _signal.SIG_IGN); print('ready', flush=True)\nwhile 1: _signal.pause()"
    )
    container = start(*options, "--", *python(program))
    container.expect("ready")
    is_published(container, ask)
    init = container.init
    sent = 0

    def send_one_more() -> int:
        nonlocal sent
        os.kill(init, 64)
        sent += 1
        time.sleep(0.04)
        count = sum(one.count for one in published.read(init).forwarded)
        assert count <= sent
        return count

    eventually(send_one_more, "some are published while more are sent", holds=lambda count: count >= 10)
    becomes(lambda: sum(one.count for one in published.read(init).forwarded), sent)


@pytest.mark.parametrize("limit", [10, 11, 12])
def test_the_counters_take_no_descriptor_that_the_end_needs(start: Start, ask: Ctl, limit: int) -> None:
    """Stragglers have their time, and the report is written."""
    straggler = "import _signal; print('ready', flush=True); _signal.sigwait([_signal.SIGTERM]); print('heard')"
    straggler = f"import _signal; _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGTERM]); {straggler}"
    program = '"$0" -ISc "$1" & read line; exit 3'
    limited = ["prlimit", f"--nofile={limit}"]
    words = ["-v", "--drain-timeout=60", "--", "sh", "-c", program, python("")[0], straggler]
    container = start(*words, before=limited, stdin=subprocess.PIPE)
    container.expect("ready")
    container.await_rest()
    is_published(container, ask)
    container.say()
    container.expect("heard")
    ended = container.end()
    assert ended.status == 3
    assert "cannot" not in ended.err, ended
    assert re.search(r"sh \(pid 2\) exited with 3 .*; 1 straggler ended \(python[^ ]* within", ended.err), ended


@pytest.mark.parametrize("limit", [5, 6, 7, 8, 9])
def test_too_few_descriptors_for_a_start_are_one_line(run: Run, limit: int) -> None:
    """No workload is started unless the init has all that it needs."""
    ended = run("--", "echo", "started", before=["prlimit", f"--nofile={limit}"])
    assert (ended.status, ended.out) == (125, "")
    assert ended.err == f"pyinit: cannot go on: cannot start a process: {os.strerror(errno.EMFILE)}\n"


@pytest.mark.parametrize(("closed", "options"), [("<&-", ["-vvv"]), (">&-", ["-vvv"]), ("2>&-", ["-vvv"])])
def test_a_file_of_pyinits_may_get_the_number_of_a_closed_standard_descriptor(
    start: Start, told: Told, closed: str, options: list[str]
) -> None:
    """The log may. If the counters get that of standard error, there is no log: no line is written over the counters,
    and they are written nowhere else."""
    before = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    container = start(*options, "--", "sh", "-c", "trap : HUP; while :; do sleep 0.1; done", before=before)
    becomes(lambda: told(container).get("version"), pyinit.__version__)
    container.await_rest()
    [workload] = psutil.Process(container.init).children()
    eventually(lambda: procfs.handles(workload.pid, signal.SIGHUP), "the workload catches SIGHUP")
    for _ in range(3):
        container.signal(signal.SIGHUP)
        count = len(told(container)["signals_forwarded"])
        assert count in (0, 1)
    becomes(lambda: [one["signal"] for one in told(container)["signals_forwarded"]], ["SIGHUP"])
    found = descriptors(container.init, least=0)
    expected = "/memfd:pyinit-status (deleted)" if closed == "2>&-" else found[2]
    assert found["<>2".index(closed[0])] == expected
    container.signal(signal.SIGKILL)
    assert "pyinit-status" not in (seen := container.end()).out + seen.err
