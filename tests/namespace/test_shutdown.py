"""The shutdown, in stages: no process is killed that could have ended by itself."""

import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from testing.namespaces import IN_TIME, INTERPRETER, UNSHARE, Container, python
from testing.waiting import PATIENCE, eventually

from .conftest import Run, Start

NOTES_TERM = "trap 'echo {0} heard; exit' TERM; echo {0} ready; while :; do sleep 0.05; done"
"""A shell program that says when it is ready, and when it gets SIGTERM."""

IGNORES_TERM = "trap '' TERM; echo {0} ready; while :; do sleep 0.05; done"


def lines(container: Container, count: int) -> set[str]:
    """The next `count` lines of standard output, in no order."""
    return {container.line() for _ in range(count)}


def is_stopped(container: Container) -> bool:
    """Is one of its processes stopped?"""
    family = psutil.Process(container.init).children(recursive=True)
    return any(member.status() == psutil.STATUS_STOPPED for member in family)


def test_the_stop_signal_goes_to_the_workload_alone_and_then_to_all_that_is_left(start: Start) -> None:
    """The workload decides when: after its end, its child gets the signal, and saves its work."""
    child = "trap 'sleep 0.3; echo child saved; exit' TERM; echo child ready; while :; do sleep 0.05; done"
    workload = f"""({child}) &
        trap 'sleep 0.3; echo workload done; exit 4' TERM; echo workload ready; while :; do sleep 0.05; done"""
    container = start("--drain-timeout=60", "--", "sh", "-c", workload)
    assert lines(container, 2) == {"workload ready", "child ready"}
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert (ended.status, ended.out) == (4, "workload done\nchild saved\n"), ended
    assert "pyinit" not in ended.err


def test_a_stopped_straggler_is_continued_and_gets_the_signal(start: Start) -> None:
    """SIGTERM alone would stay pending."""
    child = "trap 'echo heard; exit' TERM; kill -STOP \\$\\$; sleep 60"
    container = start("--drain-timeout=60", "--", "sh", "-c", f'sh -c "{child}" & read line', stdin=subprocess.PIPE)
    eventually(lambda: is_stopped(container), "the child has stopped")
    ended = container.end()
    assert (ended.status, ended.out) == (1, "heard\n"), ended


def test_a_daemon_is_asked_to_end_too(start: Start) -> None:
    """Though it has its own session and process group."""
    daemon = NOTES_TERM.format("daemon")
    program = f'(setsid sh -c "{daemon}" &); read line; exit 3'
    container = start("--drain-timeout=60", "--", "sh", "-c", program, stdin=subprocess.PIPE)
    container.expect("daemon ready")
    ended = container.end()
    assert (ended.status, ended.out) == (3, "daemon heard\n"), ended


def test_a_straggler_that_ignores_the_signal_is_killed_after_the_drain_timeout(start: Start) -> None:
    """And not before. The report names it."""
    container = start(
        "--drain-timeout=0.7", "--", "sh", "-c", f"({IGNORES_TERM.format('child')}) & read line", stdin=subprocess.PIPE
    )
    container.expect("child ready")
    begin = time.monotonic()
    ended = container.end()
    assert 0.7 <= time.monotonic() - begin < 20
    assert ended.status == 1
    assert ended.err.startswith("pyinit: sh (pid ") and re.search(r"stragglers? killed \(.*sh", ended.err), ended


def test_without_stragglers_there_is_no_wait(run: Run) -> None:
    """The drain timeout is only for stragglers."""
    begin = time.monotonic()
    assert run("--drain-timeout=60", "--", "sh", "-c", "sleep 0 & wait; exit 6").status == 6
    assert time.monotonic() - begin < 50


def test_a_drain_timeout_of_0_leaves_the_others_to_the_kernel(start: Start) -> None:
    """As under tini: they get no signal, and PID 1 exits."""
    container = start(
        "--drain-timeout=0", "--", "sh", "-c", f"({NOTES_TERM.format('child')}) & read line", stdin=subprocess.PIPE
    )
    container.expect("child ready")
    ended = container.end()
    assert (ended.status, ended.out, ended.err) == (1, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_the_stop_timeout_kills_a_workload_that_ignores_the_signal(start: Start, number: int) -> None:
    """It counts from the first stop signal of any kind."""
    container = start(
        "-t2", "--", "sh", "-c", "trap '' TERM INT QUIT; echo ready; while :; do sleep 0.05; done", before=IN_TIME
    )
    container.expect("ready")
    begin = time.monotonic()
    container.signal(number)
    time.sleep(1.5)  # a second signal changes nothing
    with suppress(ProcessLookupError):
        container.signal(number)
    ended = container.end()
    assert 2 <= time.monotonic() - begin < 2 + 1.5 + PATIENCE / 8
    assert ended.status == 137
    cause = f"{signal.Signals(number).name} from outside the container"
    pattern = rf"killed by SIGKILL after [\d.]+s: it did not exit within (2\.\d|3\.[0-4])s of {cause}; "
    assert re.search(pattern, ended.err), ended


def test_no_other_signal_starts_the_stop_timeout(start: Start) -> None:
    """SIGHUP asks for a reload."""
    program = """if True:
        import _signal, sys
        _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGHUP])
        print("ready", flush=True)
        _signal.sigwait([_signal.SIGHUP])
        print("reloaded", flush=True)
        sys.stdin.readline()
        sys.exit(5)
    """
    container = start("-t0.2", "--", *python(program), stdin=subprocess.PIPE)
    container.expect("ready")
    container.signal(signal.SIGHUP)
    container.expect("reloaded")
    time.sleep(0.6)
    container.say()
    assert container.end().status == 5


@pytest.mark.parametrize("target", ["0", "HUP"])
def test_a_stop_signal_that_is_dropped_or_rewritten_starts_the_stop_timeout(start: Start, target: str) -> None:
    """It was still a request to end."""
    container = start(
        f"-rTERM:{target}", "-t0.2", "--", "bash", "-c", "trap '' HUP; echo ready; read line; exit 5", stdin=-1
    )
    container.expect("ready")
    container.signal(signal.SIGTERM)
    eventually(lambda: container.process.poll() is not None, "the workload is killed")
    ended = container.end()
    assert ended.status == 137
    assert re.search(r"it did not exit within [\d.]+m?s of SIGTERM from outside the container; ", ended.err), ended


def test_a_second_stop_signal_while_draining_goes_to_all_that_is_left(start: Start) -> None:
    """The first one is not needed: they are being asked already. (Signals of other kinds go to all, too.)"""
    child = "trap '' TERM; trap 'echo child got INT; exit' INT; echo child ready; while :; do sleep 0.05; done"
    # Without -m a shell would make its background children ignore SIGINT, and they could not trap it.
    container = start("-v", "--drain-timeout=60", "--", "bash", "-mc", f"({child}) & read line", stdin=subprocess.PIPE)
    container.expect("child ready")
    container.say()
    container.error_line(" to end")
    container.signal(signal.SIGTERM)
    assert "SIGTERM from outside the container, not needed" in container.error_line("SIGTERM")
    container.signal(signal.SIGINT)
    container.expect("child got INT")
    ended = container.end()
    assert ended.status == 0
    assert "pyinit: SIGINT from outside the container, forwarded to all" in ended.err


def test_orphans_are_reaped_while_draining(start: Start) -> None:
    """Stragglers may leave orphans of their own."""
    child = """if True:
        import _signal, posix, time
        _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
        print("ready", flush=True)
        while posix.getppid() != 1:
            time.sleep(0.01)
        middle = posix.fork()
        if middle == 0:
            posix.write(1, b"%d\\n" % posix.fork())
            posix._exit(0)
        posix.waitpid(middle, 0)
        while (count := len([name for name in posix.listdir("/proc") if name.isdigit()])) > 2:
            time.sleep(0.01)
        print(count, flush=True)
    """
    workload = python(f"import os, sys; os.fork() or os.execv(sys.executable, {python(child)!r}); sys.stdin.read()")
    container = start("--drain-timeout=60", "--", *workload, stdin=subprocess.PIPE)
    container.expect("ready")
    ended = container.end()
    # PID 1 and the child itself: the orphan (which printed 0) has ended and was reaped.
    assert ended.out.split()[-1] == "2", ended


def test_wait_for_all_stays_until_the_successor_has_ended(start: Start) -> None:
    """The status is that of the workload, whatever the successor's is."""
    container = start(
        "--wait-for=all",
        "--drain-timeout=0.1",
        "--",
        "sh",
        "-c",
        "exec 3<&0; (read line <&3; echo over; exit 9) & exit 3",
        stdin=subprocess.PIPE,
    )
    time.sleep(0.5)
    assert container.process.poll() is None
    ended = container.end()
    assert (ended.status, ended.out, ended.err) == (3, "over\n", "")


def test_wait_for_all_a_stop_signal_asks_what_is_left_when_the_workload_has_ended(start: Start) -> None:
    """There is no workload to forward it to."""
    container = start("-v", "--wait-for=all", "--", "sh", "-c", f"({NOTES_TERM.format('successor')}) & exit 3")
    container.expect("successor ready")
    container.error_line("the workload has ended")
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert (ended.status, ended.out) == (3, "successor heard\n"), ended


def test_wait_for_all_the_others_are_asked_when_the_workload_has_ended(start: Start) -> None:
    """The stop signal goes to the workload alone, then to the others. They may take any time."""
    child = "trap 'sleep 1; echo child saved; exit' TERM; echo child ready; while :; do sleep 0.05; done"
    workload = f"({child}) & trap 'echo workload done; exit 4' TERM; echo ready; while :; do sleep 0.05; done"
    container = start("--wait-for=all", "--drain-timeout=0.1", "--", "sh", "-c", workload)
    assert lines(container, 2) == {"ready", "child ready"}
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert (ended.status, ended.out) == (4, "workload done\nchild saved\n"), ended


def test_wait_for_all_ends_with_the_stop_timeout(start: Start) -> None:
    """Then follow SIGTERM to all, the drain timeout and SIGKILL, as always."""
    container = start(
        "-v",
        "--wait-for=all",
        "-t0.3",
        "--drain-timeout=0.3",
        "--",
        "sh",
        "-c",
        f"({IGNORES_TERM.format('successor')}) & exit 3",
    )
    container.expect("successor ready")
    container.error_line("the workload has ended")
    begin = time.monotonic()
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert 0.6 <= time.monotonic() - begin < 20
    assert ended.status == 3
    assert re.search(r"killed \(.*sh", ended.err), ended


def test_nothing_wakes_pyinit_while_no_deadline_is_pending(start: Start) -> None:
    """A stop timeout is pending only after a stop signal, and waiting for all needs no polling."""
    container = start("-v", "-t20", "--wait-for=all", "--", "sh", "-c", "(echo ready; exec sleep 600) & exit 3")
    container.expect("ready")
    container.error_line("the workload has ended")
    before = container.await_settled()
    time.sleep(2)
    assert container.context_switches() == before


WORKER = """if True:
    import posix, time, _signal
    {0}
    middle = posix.fork()
    if middle == 0:
        if posix.fork():
            _signal.pause()
        {1}
        posix.write(1, b"worker %d\\n" % posix.getpid())
        while True:
            time.sleep(60)
    import sys
    sys.stdin.readline()
    posix.kill(middle, _signal.SIGKILL)
    posix.waitpid(middle, 0)
    posix.write(1, b"parent killed\\n")
    sys.stdin.readline()
"""
"""The workload kills the parent of a worker when it reads a line, and goes on."""


@pytest.mark.parametrize(
    ("timeout", "preparation", "seen"),
    [
        (60, "pass", ["SIGTERM"]),
        (0.5, "_signal.signal(_signal.SIGTERM, _signal.SIG_IGN)", ["SIGTERM", "SIGKILL"]),
    ],
)
def test_live_orphans_are_ended_if_asked_for(start: Start, timeout: float, preparation: str, seen: list[str]) -> None:
    """A worker whose parent was killed gets SIGTERM, and SIGKILL after the drain timeout. The workload runs on."""
    container = start(
        "-v",
        "--orphans=terminate",
        f"--drain-timeout={timeout}",
        "--",
        *python(WORKER.format("pass", preparation)),
        stdin=subprocess.PIPE,
    )
    assert container.line().startswith("worker ")
    container.say()
    container.expect("parent killed")
    eventually(lambda: len(psutil.Process(container.init).children(recursive=True)) == 1, "the workload is left alone")
    ended = container.end()
    assert ended.status == 0
    told = [line for line in ended.err.splitlines() if "whose parent died" in line]
    assert [line.split()[1] for line in told] == seen, ended


def test_live_orphans_are_kept_by_default_and_so_are_older_children(start: Start) -> None:
    """Children of the shell that executed pyinit are not orphans: their parent has not died."""
    container = start("--", *python(WORKER.format("pass", "pass")), stdin=subprocess.PIPE)
    assert container.line().startswith("worker ")
    container.say()
    container.expect("parent killed")
    time.sleep(1.5)
    assert len(psutil.Process(container.init).children(recursive=True)) == 2
    before = python(
        "import os, sys, time; os.fork() or os.execvp('sleep', ['sleep', '60']); time.sleep(0.1);"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    container = start(
        "-v",
        "--orphans=terminate",
        "--",
        "sh",
        "-c",
        "echo ready; read line; sleep 1.5",
        before=before,
        stdin=subprocess.PIPE,
    )
    container.expect("ready")
    assert "whose parent died" not in container.end().err


def test_a_workload_that_may_not_be_killed_does_not_keep_the_container(start: Start) -> None:
    """It has become another user, and pyinit lacks CAP_KILL: one second later pyinit exits, and the kernel ends all."""
    drop = "import os, signal, sys; os.setgroups([]); os.setgid(1002); os.setuid(1002); print('ready', flush=True);"
    container = start(
        "-t0.2",
        "--drain-timeout=0.2",
        "--",
        *python(drop + "signal.pause()"),
        before=["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"],
    )
    container.expect("ready")
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert ended.status == 137, ended
    assert "cannot kill pid" in ended.err and "does not end: going on without it" in ended.err


BESIDE = """if True:
    import json, os, subprocess, sys, time
    stranger = "trap 'echo heard >> heard' TERM CONT INT HUP; echo > ready; while :; do sleep 0.05; done"
    beside = subprocess.Popen(["sh", "-c", stranger])
    while not os.path.exists("ready"):
        time.sleep(0.01)
    status = subprocess.call(sys.argv[1:])
    def alive():
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) not in (1, beside.pid):
                try:
                    words = open(f"/proc/{name}/stat").read().rpartition(")")[2].split()
                    comm = open(f"/proc/{name}/comm").read()
                except OSError:
                    continue
                if words[0] != "Z" and int(words[1]) != beside.pid:
                    yield comm
    survivors = list(alive())
    beside.kill()
    beside.wait()
    print(json.dumps([status, survivors, os.path.exists("heard")]))
"""
"""PID 1 of a namespace in which pyinit runs beside a stranger. Prints the status, the survivors, and whether the
stranger got a signal."""


@pytest.mark.parametrize(
    "workload",
    [
        "sleep 60 & exit 3",
        "(setsid sh -c 'sleep 60 & sleep 60' &) ; sleep 0.2; exit 3",
        "(trap '' TERM; sleep 60; sleep 60) & sleep 0.2; exit 3",
        "for i in 1 2 3 4 5; do (trap '' TERM; while :; do sleep 0.01; done) & done; sleep 0.2; exit 3",
    ],
)
def test_a_subreaper_ends_only_its_own_descendants(launcher: str, tmp_path: Path, workload: str) -> None:
    """Other processes get no signal, and none of its own survives."""
    command = [*IN_TIME, *UNSHARE, *python(BESIDE, launcher, "--drain-timeout=0.3", "--", "sh", "-c", workload)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "[3, [], false]\n", done


DROPPED = """if True:
    import os, time
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setgroups([]); os.setgid(1002); os.setuid(1002)
        os.write(1, b"ready\\n")
        os.write(writer, b"+")
        time.sleep(60)
    os.read(reader, 1)
    os._exit(3)
"""
WITHOUT_KILL = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"]


def test_a_straggler_that_may_not_be_signalled_is_a_warning(start: Start) -> None:
    """It belongs to another user, and pyinit lacks CAP_KILL: the kernel ends it with PID 1, at the timeout."""
    ended = start("--drain-timeout=0.3", "--", *python(DROPPED), before=WITHOUT_KILL).end()
    assert ended.status == 3
    for name in ("SIGTERM", "SIGKILL"):
        assert re.search(f"cannot send {name} to python.* \\(pid \\d+\\): Operation not permitted", ended.err), ended


def test_a_subreaper_says_which_processes_it_leaves_behind(launcher: str, tmp_path: Path) -> None:
    """Its exit does not end them. It exits one second after the SIGKILL at the latest."""
    command = [
        *IN_TIME,
        *UNSHARE,
        *python(BESIDE),
        *WITHOUT_KILL,
        launcher,
        "--drain-timeout=0.3",
        "--",
        *python(DROPPED),
    ]
    begin = time.monotonic()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert time.monotonic() - begin < 50
    assert done.stdout.startswith('ready\n[3, ["python'), done
    assert re.search(r"; 1 straggler left behind \(python[^)]*\)", done.stderr), done
    assert "straggler killed" not in done.stderr


@pytest.mark.parametrize("limit", [3, 4, 5])
def test_out_of_descriptors_at_the_end(start: Start, limit: int) -> None:
    """The status is the same, and stragglers have their time: all that this needs was loaded before."""
    program = f"({NOTES_TERM.format('child')}) & read line; exit 9"
    container = start("--drain-timeout=60", "--", "sh", "-c", program, stdin=subprocess.PIPE)
    container.expect("child ready")
    container.await_rest()
    psutil.Process(container.init).rlimit(psutil.RLIMIT_NOFILE, (limit, limit))
    container.say()
    container.expect("child heard")
    ended = container.end()
    assert (ended.status, "carrying on" in ended.err) == (9, False), ended


def test_a_subreaper_short_of_descriptors_still_ends_its_own(launcher: str, tmp_path: Path) -> None:
    """One is enough to find the stragglers, and to check each process again before it gets the signal."""
    limit = "import resource, sys; resource.prlimit(int(sys.argv[1]), resource.RLIMIT_NOFILE, (4, 4))"
    workload = f'(trap "" TERM; exec sleep 60) & sleep 0.5; {INTERPRETER} -ISc "{limit}" $PPID; exit 3'
    command = [*IN_TIME, *UNSHARE, *python(BESIDE, launcher, "--drain-timeout=0.3", "--", "sh", "-c", workload)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "[3, [], false]\n", done


def test_a_subreaper_spares_a_helper_that_a_straggler_starts_to_save_its_work(launcher: str, tmp_path: Path) -> None:
    """It looks more than once. The helper is new: it is part of the straggler's shutdown."""
    saver = "trap 'sleep 0.4 && echo saved > saved; exit' TERM; echo > here; while :; do sleep 0.01; done"
    workload = f'sh -c "{saver}" & while [ ! -e here ]; do sleep 0.01; done; exit 3'
    command = [*IN_TIME, *UNSHARE, *python(BESIDE, launcher, "--drain-timeout=60", "--", "sh", "-c", workload)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "[3, [], false]\n", done
    assert (tmp_path / "saved").exists()
