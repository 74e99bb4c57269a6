"""Every orphan is reaped."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from testing.namespaces import IN_TIME, INTERPRETER, UNSHARE, python
from testing.waiting import PATIENCE

from .conftest import Run, Start

ORPHANS = """if True:
    import posix, sys, time
    def others():
        return [int(n) for n in posix.listdir("/proc") if n.isdigit() and int(n) not in (1, posix.getpid())]
    def leak(count):
        'Leave as many orphans behind, all alive until the pipe that this returns is closed.'
        reader, writer = posix.pipe()
        middle = posix.fork()
        if middle == 0:
            for _ in range(count):
                if posix.fork() == 0:
                    posix.close(writer)
                    posix.read(reader, 1)
                    posix._exit(0)
            posix._exit(0)
        try:
            posix.waitpid(middle, 0)
        except ChildProcessError:  # SIGCHLD came ignored
            pass
        posix.close(reader)
        return writer
    def all_gone(seconds):
        deadline = time.monotonic() + seconds
        while others() and time.monotonic() < deadline:
            time.sleep(0.01)
        return not others()
"""
"""Functions for workloads: leave orphans behind, and see whether they are gone."""


@pytest.mark.slow
def test_ten_thousand_orphans_that_die_at_once_are_all_reaped(start: Start) -> None:
    """Though one SIGCHLD stands for many of them."""
    program = """
    writer = leak(10_000)
    assert len(others()) == 10_000
    posix.close(writer)
    print(all_gone(240), len(others()))
    """
    container = start("--", *python(ORPHANS + program), before=IN_TIME)
    assert container.end(patience=480).out == "True 0\n"  # to fork them takes most of the time


def test_a_flood_of_signals_does_not_hold_up_the_reaping(start: Start) -> None:
    """SIGUSR1 has a lower number than SIGCHLD, and the kernel delivers lower numbers first."""
    program = """
    import _signal
    _signal.signal(_signal.SIGUSR1, _signal.SIG_IGN)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(20):
        posix.close(leak(50))
    print(all_gone(60), len(others()), flush=True)
    sys.stdin.readline()
    """
    container = start("--", *python(ORPHANS + program), stdin=subprocess.PIPE, before=IN_TIME)
    container.expect("ready")
    init = container.init
    over = threading.Event()

    def flood() -> None:
        while not over.is_set():
            for _ in range(1000):
                os.kill(init, signal.SIGUSR1)

    senders = [threading.Thread(target=flood) for _ in range(2)]
    for sender in senders:
        sender.start()
    try:
        container.say()
        container.expect("True 0")
    finally:
        over.set()
        for sender in senders:
            sender.join()
    assert container.end().status == 0


def test_a_flood_of_orphans_does_not_hold_up_the_signals(start: Start) -> None:
    """While more and more orphans die, a signal arrives in time."""
    program = """
    import _signal
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGTERM])
    for turn in range(10_000):
        posix.close(leak(100))
        if turn == 3:
            print("ready", flush=True)
        if _signal.sigtimedwait([_signal.SIGTERM], 0):
            break
    print("SIGTERM", flush=True)
    """
    container = start("--", *python(ORPHANS + program))
    container.expect("ready")
    container.signal(signal.SIGTERM)
    container.expect("SIGTERM")
    assert container.end().status == 0


@pytest.mark.parametrize(
    "statement",
    [
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])",
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN); signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])",
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    ],
)
def test_an_odd_disposition_of_sigchld_changes_nothing(run: Run, statement: str) -> None:
    """If it were ignored, the kernel would reap in pyinit's place, and the workload's status would be lost."""
    before = python(f"import os, signal, sys; {statement}; os.execv(sys.argv[1], sys.argv[1:])")
    assert (
        run(
            "--", *python(ORPHANS + "    posix.close(leak(9)); sys.exit(7 if all_gone(60) else 1)"), before=before
        ).status
        == 7
    )


def test_children_from_before_are_reaped_too(run: Run) -> None:
    """A shell that executes pyinit leaves it its children, dead and alive."""
    leave_children = """if True:
        import os, sys
        dead = os.fork() or os._exit(3)
        os.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)
        os.fork() or os.execvp("sleep", ["sleep", "0.1"])
        os.execv(sys.argv[1], sys.argv[1:])
    """
    program = "    sys.exit(7 if all_gone(60) else 1)"
    assert run("--", *python(ORPHANS + program), before=python(leave_children)).status == 7


def test_warn_on_reap_names_each_orphan_and_how_it_ended(run: Run) -> None:
    """But not the workload."""
    program = """
    if posix.fork() == 0:
        for words in (["sh", "-c", "kill -9 $$"], ["sleep", "0"], ["sh", "-c", "exit 3"]):
            if posix.fork() == 0:
                posix.execv("/bin/" + words[0], words)
        posix._exit(0)
    posix.wait()
    sys.exit(5 if all_gone(60) else 1)
    """
    ended = run("-w", "--", *python(ORPHANS + program))
    assert ended.status == 5
    assert sorted(re.sub(r"pid \d+", "pid N", line) for line in ended.err.splitlines()) == [
        "pyinit: reaped pid N (sh), which exited with 3",
        "pyinit: reaped pid N (sh), which was killed by SIGKILL",
        "pyinit: reaped pid N (sleep), which exited with 0",
    ]


def test_idle_means_asleep(start: Start) -> None:
    """There is no polling: not one context switch, and no CPU time."""
    container = start("--", "sh", "-c", "echo ready; exec sleep 600")
    container.expect("ready")
    before = container.await_settled()
    time.sleep(3)
    assert container.context_switches() == before


def test_orphans_come_to_pyinit_if_it_is_not_pid_1(launcher: str) -> None:
    """It is the child subreaper, so orphans of its workload become its children."""
    program = """
    writer = leak(1)
    parents = {line.split()[3] for line in (open(f"/proc/{pid}/stat").read() for pid in others()) if line[-1]}
    me = str(posix.getppid())
    assert me != "1" and me in parents, parents
    orphan = [pid for pid in others() if open(f"/proc/{pid}/stat").read().split()[3] == me]
    posix.close(writer)
    deadline = time.monotonic() + 60
    while orphan and time.monotonic() < deadline and orphan[0] in others():
        time.sleep(0.01)
    sys.exit(7 if orphan and orphan[0] not in others() else 1)
    """
    command = [*UNSHARE, "sh", "-c", '"$0" "$@"; exit $?', launcher, "--", *python(ORPHANS + program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 7, done


def test_all_means_its_own_descendants_if_it_is_not_pid_1(launcher: str, tmp_path: Path) -> None:
    """With ``--forward-to all`` the workload and its orphans get the signal, and other processes do not."""
    trap = (
        "trap 'echo {0} >> heard' USR1; trap 'echo over >> heard' USR2; echo {0} >> ready; while :; do sleep 0.05; done"
    )
    stranger, workload, orphan = (trap.format(name) for name in ("stranger", "workload", "orphan"))
    script = f"""
        sh -c "{stranger}" & stranger=$!
        {launcher} --forward-to all -- sh -c "(setsid sh -c \\"{orphan}\\" &) ; {workload}" & init=$!
        while [ "$(wc -l < ready)" != 3 ]; do sleep 0.05; done
        kill -USR1 $init
        while [ "$(wc -l < heard)" != 2 ]; do sleep 0.05; done
        kill -USR2 $stranger  # the higher number: SIGUSR1, if it had come, would be heard first
        while [ "$(wc -l < heard)" != 3 ]; do sleep 0.05; done
    """
    for name in ("ready", "heard"):
        (tmp_path / name).touch()
    (tmp_path / "script").write_text(script)
    subprocess.run([*UNSHARE, "bash", "script"], cwd=tmp_path, timeout=PATIENCE, check=True)
    assert sorted((tmp_path / "heard").read_text().split()) == ["orphan", "over", "workload"]


def test_the_death_of_the_parent_raises_a_signal(launcher: str, tmp_path: Path) -> None:
    """With -p. pyinit gets it, and forwards it like any other."""
    (tmp_path / "workload").write_text(
        "trap 'echo heard > heard; exit' USR1; echo > ready; while :; do sleep 0.05; done"
    )
    (tmp_path / "parent").write_text(f"{launcher} -p USR1 -- sh workload & wait")
    (tmp_path / "script").write_text("""
        sh parent &
        while [ ! -e ready ]; do sleep 0.05; done
        kill -KILL $!
        while [ ! -s heard ]; do sleep 0.05; done
    """)
    subprocess.run([*UNSHARE, "bash", "script"], cwd=tmp_path, timeout=PATIENCE, check=True)
    assert (tmp_path / "heard").read_text() == "heard\n"


def test_an_interpreter_without_ctypes_is_a_warning(launcher: str, tmp_path: Path) -> None:
    """pyinit is not PID 1 and cannot become the subreaper. The workload still runs."""
    text = Path(launcher).read_text().replace("import sys\n", "import sys\nsys.modules['_ctypes'] = None\n", 1)
    (tmp_path / "pyinit").write_text(text)
    (tmp_path / "pyinit").chmod(0o755)
    done = subprocess.run([tmp_path / "pyinit", "sh", "-c", "exit 3"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 3
    assert done.stderr.startswith("pyinit: cannot become the child subreaper, orphans go elsewhere: ")
    assert done.stderr.count("\n") == 1


TRACED = """if True:
    import ctypes, os, signal, sys
    def ask_to_be_traced_and_stop():
        assert ctypes.CDLL(None, use_errno=True).ptrace(0, 0, 0, 0) == 0
        os.kill(os.getpid(), signal.SIGUSR1)
    def wait_for_parent(pid):
        while os.getppid() != pid:
            pass
    signal.signal(signal.SIGUSR1, lambda number, frame: os.write(1, b"SIGUSR1\\n"))
"""
"""PTRACE_TRACEME makes the parent the tracer, and the parent is PID 1."""


@pytest.mark.parametrize("option", ["-c", "-w", "-vv"])
def test_a_workload_that_asks_to_be_traced_goes_on(run: Run, option: str) -> None:
    """Its stop is reported to pyinit, and is not an end. The signal that it stopped for arrives."""
    ended = run(option, "--", INTERPRETER, "-c", TRACED + "    ask_to_be_traced_and_stop(); sys.exit(5)")
    assert (ended.status, ended.out) == (5, "SIGUSR1\n"), ended


@pytest.mark.parametrize("option", ["-c", "-w", "-vv"])
def test_an_orphan_that_asks_to_be_traced_goes_on(run: Run, option: str) -> None:
    """It is reaped when it ends, and the workload runs on."""
    program = """
    reader, writer = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            wait_for_parent(1)
            ask_to_be_traced_and_stop()
            os._exit(0)
        os._exit(0)
    os.wait()
    os.close(writer)
    os.read(reader, 1)
    sys.exit(5)
    """
    ended = run(option, "--", INTERPRETER, "-c", TRACED + program)
    assert (ended.status, ended.out) == (5, "SIGUSR1\n"), ended


def test_warn_on_reap_names_the_right_orphan_when_many_die_at_once(run: Run) -> None:
    """Each has the name that belongs to its status."""
    program = """
    for turn in range(20):
        if posix.fork() == 0:
            for number in range(40):
                if posix.fork() == 0:
                    open("/proc/self/comm", "w").write(f"n{number}")
                    posix._exit(number)
            posix._exit(0)
        posix.wait()
    sys.exit(5 if all_gone(60) else 1)
    """
    ended = run("-w", "--", *python(ORPHANS + program))
    pairs = re.findall(r"reaped pid \d+ \(n(\d+)\), which exited with (\d+)\n", ended.err)
    assert ended.status == 5 and len(pairs) == 800, ended
    assert [pair for pair in pairs if pair[0] != pair[1]] == []
