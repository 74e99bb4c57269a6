"""``pyinitctl clear``: the two cures for zombies whose parents do not wait for them."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from pyinit.ctl.picture import HIDDEN
from testing import packages
from testing.compiler import compile_c
from testing.namespaces import IN_TIME, INTERPRETER, UNSHARE, Container, python
from testing.waiting import PATIENCE, eventually

from .conftest import Ctl, Start, await_counters

LATE = """if True:
    import os, signal, sys, time
    def reap(number, frame):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]: pass
        except ChildProcessError: pass
    for _ in range(3):
        child = os.fork() or os._exit(0)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    signal.signal(signal.SIGCHLD, reap)
    print('ready', flush=True)
    while True: time.sleep(0.05)
"""
"""Its children end before it handles SIGCHLD. (pause() would miss one that comes just before it.)"""

CATCHES = LATE.replace("while os.waitpid(-1, os.WNOHANG)[0]: pass", "pass")
"""It handles SIGCHLD, but does not wait in the handler."""

NEVER_WAITS = """
#include <sys/wait.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **words) {
    siginfo_t ended;
    if (count > 1) signal(atoi(words[1]), SIG_IGN);
    for (int i = 0; i < 15; i++) {
        pid_t child = fork();
        if (child == 0) _exit(0);
        if (child < 0 || waitid(P_PID, child, &ended, WEXITED | WNOWAIT)) return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
"""

TRACER = """
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **words) {
    if (count != 2) return 2;
    if (ptrace(PTRACE_SEIZE, atoi(words[1]), 0, 0)) return 1;
    puts("traces");
    fflush(stdout);
    for (;;) pause();
}
"""
"""Traces the process that it is given, and never waits for it."""

LEAVES_A_ZOMBIE = "(sleep 0.01 & exec sleep 1000)"
"""The zombie is a child of sleep(1), which knows nothing of it."""

HAS_A_ZOMBIE = "import os\nif not os.fork(): os._exit(0)\nos.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)\n"
"""The first lines of a program in Python."""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, bin_folder: Path) -> Callable[[str, str], str]:
    """Compile a program in C under a name, in a folder that all users may read."""
    folder = tmp_path_factory.mktemp("compiled")
    folder.chmod(0o755)
    return lambda name, source: str(compile_c(source, folder / name, "-Wno-unused-parameter"))


@pytest.fixture
def start(start: Start) -> Start:
    """Start pyinit with these words: a parent has a second to act, and five to end."""
    return lambda *words, before=(), **popen: start(*words, before=[*IN_TIME, *before], **popen)


@pytest.fixture
def clear(ctl: Ctl) -> Ctl:
    """Run ``pyinitctl clear`` inside a container, from outside, as ``docker exec`` does."""
    return lambda container, *words, **options: ctl(container, "clear", *words, **options)


def pid_of(container: Container, name: str) -> int:
    """The pid in the container of the only live process of this name."""

    def look() -> list[int]:
        named = []
        for one in psutil.Process(container.init).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
                if one.name() == name and one.status() != psutil.STATUS_ZOMBIE:
                    named.append(one)
        return [int(Path(f"/proc/{one.pid}/status").read_text().split("NSpid:")[1].split()[1]) for one in named]

    [pid] = eventually(look, f"there is a {name}")
    return pid


def beside(words: list[str]) -> list[str]:
    """A workload that starts this command, waits for it, and stays: without children, which would be zombies for
    moments. The workload has pid 2, as in every container here."""
    return ["sh", "-c", '"$@" & wait $!; exec sleep 1000', "workload", *words]


def test_without_zombies_there_is_nothing_to_do(start: Start, clear: Ctl) -> None:
    """One line, status 0."""
    container = start("--", "sleep", "1000")
    pid_of(container, "sleep")
    done = clear(container)
    assert (done.returncode, done.stdout, done.stderr) == (0, "no zombies\n", "")


def test_a_parent_that_missed_sigchld_waits_when_it_is_asked_again(start: Start, clear: Ctl) -> None:
    """The first cure: its handler was installed after the children had ended."""
    container = start("--", *python(LATE))
    container.expect("ready")
    container.await_zombies(3)
    done = clear(container)
    first, *rest = done.stdout.splitlines()
    assert first.startswith("asked python3") and rest == ["no zombies left"], done
    assert "(pid 2): it has waited for its 3 zombies" in first
    assert done.returncode == 0
    assert len(container.zombies()) == 0


def test_the_reason_why_a_parent_cannot_be_asked_is_shown(
    start: Start, clear: Ctl, compiled: Callable[[str, str], str]
) -> None:
    """And what to do next. No process is ended."""
    container = start("--", *beside([compiled("leaks", NEVER_WAITS)]))
    container.expect("ready")
    pid = pid_of(container, "leaks")
    done = clear(container)
    assert done.stdout.splitlines() == [
        f"asked leaks (pid {pid}): it has not waited for its 15 zombies: it does not catch SIGCHLD; "
        "--terminate-parent would end it",
        "15 zombies left",
    ]
    assert done.returncode == 1
    assert pid_of(container, "leaks") == pid and len(container.zombies()) == 15


def test_a_handler_that_does_not_wait_is_distinguished_from_no_handler(start: Start, clear: Ctl) -> None:
    """By SigCgt in /proc/PID/status."""
    container = start("--", *beside(python(CATCHES)))
    container.expect("ready")
    done = clear(container)
    assert "not waited for its 3 zombies: it catches SIGCHLD, and still does not wait; --terminate" in done.stdout, done
    assert done.returncode == 1


def test_a_parent_in_c_is_ended_and_its_zombies_are_reaped(
    start: Start, clear: Ctl, compiled: Callable[[str, str], str]
) -> None:
    """The second cure."""
    container = start("--", *beside([compiled("leaks", NEVER_WAITS)]))
    container.expect("ready")
    pid = pid_of(container, "leaks")
    done = clear(container, "--terminate-parent")
    assert done.stdout.splitlines() == [
        f"asked leaks (pid {pid}): it has not waited for its 15 zombies: it does not catch SIGCHLD",
        f"ending leaks (pid {pid}) to get its 15 zombies reaped",
        f"leaks (pid {pid}) has ended",
        "no zombies left",
    ]
    assert (done.returncode, done.stderr) == (0, "")
    assert len(container.zombies()) == 0
    assert container.process.poll() is None


def test_a_parent_in_sh_is_ended_and_its_zombie_is_reaped(start: Start, clear: Ctl) -> None:
    """A program with a child from before it was executed, of which it knows nothing."""
    container = start("--", *beside(["sh", "-c", LEAVES_A_ZOMBIE]))
    container.await_zombies(1)
    pid_of(container, "sleep")
    done = clear(container, "--terminate-parent")
    assert "its zombie: it does not catch SIGCHLD\nending sleep 1000 (pid" in done.stdout, done
    assert done.stdout.endswith("has ended\nno zombies left\n") and done.returncode == 0
    assert len(container.zombies()) == 0


def test_a_stopped_parent_is_continued_so_that_it_can_end(
    start: Start, clear: Ctl, compiled: Callable[[str, str], str]
) -> None:
    """SIGTERM alone would stay pending. Without --terminate-parent the line says how to continue it."""
    container = start("--", *beside([compiled("leaks", NEVER_WAITS.replace("for (;;)", "raise(SIGSTOP); for (;;)"))]))
    container.expect("ready")
    pid = pid_of(container, "leaks")
    outside = [one for one in psutil.Process(container.init).children(recursive=True) if one.name() == "leaks"]
    eventually(lambda: psutil.STATUS_STOPPED in [one.status() for one in outside], "it has stopped")
    asked = clear(container)
    assert f"it is stopped (kill -CONT {pid} continues it)" in asked.stdout and asked.returncode == 1, asked
    done = clear(container, "--terminate-parent")
    assert done.stdout.endswith(f"leaks (pid {pid}) has ended\nno zombies left\n") and done.returncode == 0, done
    assert len(container.zombies()) == 0


def test_a_stopped_parent_that_reaps_when_it_is_continued_lives_on(start: Start, clear: Ctl) -> None:
    """It only had no time to reap. A dry run says so, and continues nothing."""
    container = start("--", *beside(python(LATE)))
    container.expect("ready")
    (parent,) = psutil.Process(container.init).children()[0].children()
    parent.suspend()
    eventually(lambda: parent.status() == psutil.STATUS_STOPPED, "it has stopped")
    foretold = clear(container, "--terminate-parent", "--dry-run")
    ask, end, left = foretold.stdout.splitlines()
    who = ask.removeprefix("would ask ").removesuffix(" (SIGCHLD) to wait for its 3 zombies")
    assert who.startswith("python3") and left == "3 zombies left", foretold
    assert end == f"would continue (SIGCONT), and then end (SIGTERM) {who} if it does not"
    assert foretold.returncode == 1
    assert parent.status() == psutil.STATUS_STOPPED
    done = clear(container, "--terminate-parent")
    asked, *rest = done.stdout.splitlines()
    assert asked.startswith(f"asked {who}: it has not waited for its 3 zombies: it is stopped (kill -CONT "), done
    assert rest == [
        f"continuing {who}, which was stopped",
        f"asked {who}: it has waited for its 3 zombies",
        "no zombies left",
    ]
    assert (done.returncode, done.stderr) == (0, "")
    eventually(lambda: parent.is_running() and parent.status() == psutil.STATUS_SLEEPING, "it sleeps again")


def test_a_stopped_workload_is_not_continued_unless_it_is_named(start: Start, clear: Ctl) -> None:
    """It is spared, and may have been stopped on purpose."""
    container = start("--", *python(LATE))
    container.expect("ready")
    await_counters(container)
    (workload,) = psutil.Process(container.init).children()
    workload.suspend()
    eventually(lambda: workload.status() == psutil.STATUS_STOPPED, "it has stopped")
    spared = clear(container, "--terminate-parent")
    assert "it is stopped (kill -CONT 2 continues it)\n" in spared.stdout, spared
    assert "(pid 2) is the workload: name it with --pid 2 to end it" in spared.stdout and spared.returncode == 1, spared
    assert workload.status() == psutil.STATUS_STOPPED
    named = clear(container, "--terminate-parent", "--pid", "2")
    assert named.stdout.endswith(": it has waited for its 3 zombies\nno zombies left\n"), named
    assert named.returncode == 0
    assert container.process.poll() is None


def test_a_parent_that_ignores_sigterm_is_left_and_reported(
    start: Start, clear: Ctl, compiled: Callable[[str, str], str]
) -> None:
    """After some seconds. To kill it is up to the user."""
    container = start("--", *beside([compiled("leaks", NEVER_WAITS), str(int(signal.SIGTERM))]))
    container.expect("ready")
    pid = pid_of(container, "leaks")
    done = clear(container, "--terminate-parent")
    assert done.stdout.splitlines()[2:] == [
        f"leaks {int(signal.SIGTERM)} (pid {pid}) has not ended within 5 s: it ignores SIGTERM "
        f"(kill -KILL {pid} would end it)",
        "15 zombies left",
    ]
    assert done.returncode == 1
    assert pid_of(container, "leaks") == pid


@pytest.mark.parametrize("words", [[], ["-p2"]])
def test_a_parent_that_is_not_waited_for_remains_as_a_zombie(start: Start, clear: Ctl, words: list[str]) -> None:
    """Its own parent is reported next."""
    # Without a shell in between, which would reap its parent.
    program = "if True:\n import os, signal\n"
    program += " if not os.fork(): os.execlp('sh', 'sh', '-c', 'sleep 0.01 & exec sleep 1000')\n"
    container = start("--", *python(f"{program} while True: signal.pause()"))
    container.await_zombies(1)
    pid_of(container, "sleep")
    done = clear(container, "--terminate-parent", *words)
    *_, ended, verdict, left = done.stdout.splitlines()
    assert ended.startswith("sleep 1000 (pid ") and ended.endswith(") has ended"), done
    assert "(pid 2) has 1 child that it has not waited for" in verdict and left == "1 zombie left", done
    assert done.returncode == 1


def test_the_workload_is_not_ended_unless_it_is_named(
    start: Start, clear: Ctl, compiled: Callable[[str, str], str]
) -> None:
    """The container ends with it."""
    container = start("--", compiled("leaks", NEVER_WAITS))
    container.expect("ready")
    await_counters(container)
    done = clear(container, "--terminate-parent")
    assert done.stdout.splitlines() == [
        "asked leaks (pid 2): it has not waited for its 15 zombies: it does not catch SIGCHLD",
        "leaks (pid 2) is the workload: name it with --pid 2 to end it, and the container with it",
        "15 zombies left",
    ]
    assert done.returncode == 1
    assert container.process.poll() is None
    named = clear(container, "--terminate-parent", "--pid", "2")
    assert "ending leaks (pid 2) to get its 15 zombies reaped\n" in named.stdout, named
    assert container.end().status == 128 + signal.SIGTERM


def test_the_workload_may_be_named_from_within_itself(start: Start, bin_folder: Path) -> None:
    """It has started pyinitctl, and is ended anyway."""
    program = f"{HAS_A_ZOMBIE}import subprocess\nsubprocess.run(['{bin_folder}/pyinitctl', 'clear',"
    container = start("--", *python(f"{program} '--terminate-parent', '-p', str(os.getpid())])\nos._exit(9)"))
    ended = container.end()
    assert ended.status == 128 + signal.SIGTERM and "ending python3" in ended.out, ended


def test_the_process_that_started_pyinitctl_is_not_ended(start: Start, bin_folder: Path) -> None:
    """For example a shell that is not the workload."""
    program = f"{HAS_A_ZOMBIE}import subprocess\nsubprocess.run(['{bin_folder}/pyinitctl', 'clear',"
    container = start("--", *beside(python(f"{program} '--terminate-parent'])\nprint('alive', flush=True)")))
    asked, spared, left, alive = [container.line() for _ in range(4)]
    assert asked.startswith("asked python3"), asked
    assert spared.endswith("is left alone: it started this pyinitctl"), spared
    assert (left, alive) == ("1 zombie left", "alive")


@pytest.mark.parametrize("is_traced_by", ["its sibling", "its own child"])
def test_a_tracer_that_does_not_wait_is_ended(
    start: Start, clear: Ctl, compiled: Callable[[str, str], str], is_traced_by: str
) -> None:
    """No parent can wait for a zombie before its tracer has; then this parent does."""
    tracer = compiled("tracer", TRACER)
    script = f"mkfifo $TMP/go; head -c1 $TMP/go >$TMP/null & {tracer} $! & cat >$TMP/go; wait"
    if is_traced_by == "its own child":
        script = f"mkfifo $TMP/go; (head -c1 $TMP/go >$TMP/null & exec {tracer} $!) & cat >$TMP/go; wait"
    folder = Path(tracer).parent / is_traced_by.replace(" ", "-")
    folder.mkdir()
    container = start("--", "sh", "-c", script, stdin=subprocess.PIPE, env={**os.environ, "TMP": str(folder)})
    container.expect("traces")
    container.say()
    container.await_zombies(1)
    done = clear(container, "--terminate-parent")
    assert "asked tracer " in done.stdout, done
    assert "it has not waited for its zombie: it does not catch SIGCHLD\n" in done.stdout, done
    assert done.stdout.endswith("has ended\nno zombies left\n") and done.returncode == 0, done
    assert len(container.zombies()) == 0


def test_a_parent_of_another_user_is_reported(start: Start, clear: Ctl, compiled: Callable[[str, str], str]) -> None:
    """EPERM makes one line, and pyinitctl goes on."""
    container = start("--", *beside([compiled("leaks", NEVER_WAITS)]))
    container.expect("ready")
    pid = pid_of(container, "leaks")
    before = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")
    done = clear(container, "--terminate-parent", before=before)
    assert done.stdout.splitlines() == [f"cannot ask leaks (pid {pid}): Operation not permitted", "15 zombies left"]
    assert done.returncode == 1


def test_a_possible_workload_is_spared_too(start: Start, clear: Ctl, compiled: Callable[[str, str], str]) -> None:
    """If the counters may not be read, every child of pyinit could be the workload."""
    container = start("-u", "12345:12345", "--", compiled("leaks", NEVER_WAITS))
    container.expect("ready")
    before = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")
    done = clear(container, "--terminate-parent", before=before)
    spared = "leaks (pid 2) may be the workload (pid 1 belongs to "
    assert f"\n{spared}" in done.stdout and "): name it with --pid 2 to end it" in done.stdout, done
    assert done.returncode == 1
    clear(container, "--terminate-parent", "-p2", before=before)
    assert container.end().status == 128 + signal.SIGTERM


@pytest.mark.parametrize("name", ["tini", "dumb-init", "catatonit", "podman-init"])
def test_a_possible_workload_of_another_init_is_spared(
    bare: Start, clear: Ctl, compiled: Callable[[str, str], str], tmp_path: Path, name: str
) -> None:
    """That init does not say which child is its workload. A named process is ended, and the container with it."""
    program = "catatonit" if name == "podman-init" else name  # what podman calls it in a container
    init = shutil.copy(packages.provide(program, program), tmp_path / name)
    container = bare(init, "--", compiled("leaks", NEVER_WAITS))
    container.expect("ready")
    pid = pid_of(container, "leaks")
    done = clear(container, "--terminate-parent")
    assert done.stdout.splitlines() == [
        f"asked leaks (pid {pid}): it has not waited for its 15 zombies: it does not catch SIGCHLD",
        f"leaks (pid {pid}) may be the workload of {name} (pid 1): "
        f"name it with --pid {pid} to end it, and the container with it",
        "15 zombies left",
    ]
    assert (done.returncode, done.stderr) == (1, "")
    assert container.process.poll() is None and len(container.zombies()) == 15
    named = clear(container, "--terminate-parent", "--pid", str(pid))
    assert f"\nending leaks (pid {pid}) to get its 15 zombies reaped\n" in named.stdout, named
    assert container.end().status == 128 + signal.SIGTERM


def test_a_grandchild_of_another_init_is_ended(bare: Start, clear: Ctl, compiled: Callable[[str, str], str]) -> None:
    """It cannot be the workload."""
    container = bare(packages.provide("tini", "tini"), "--", *beside([compiled("leaks", NEVER_WAITS)]))
    container.expect("ready")
    done = clear(container, "--terminate-parent")
    assert done.stdout.endswith(") has ended\nno zombies left\n") and done.returncode == 0, done
    assert container.process.poll() is None


def test_a_daemon_that_pyinit_stays_for_is_spared(
    start: Start, clear: Ctl, compiled: Callable[[str, str], str]
) -> None:
    """With ``--wait-for=all`` the workload has left its work to a process that is no longer its child."""
    container = start("--wait-for=all", "--", "sh", "-c", '"$1" &', "sh", compiled("leaks", NEVER_WAITS))
    container.expect("ready")
    pid = pid_of(container, "leaks")
    why = f"leaks (pid {pid}) may be the process that pyinit waits for, now that the workload has ended"
    why = f"{why}: name it with --pid {pid}"
    words = ("--terminate-parent", "--dry-run")
    eventually(lambda: f"\n{why} to end it" in clear(container, *words).stdout, "pyinit stays")
    done = clear(container, "--terminate-parent")
    assert f"\n{why} to end it, and the container with it\n15 zombies left\n" in done.stdout, done
    assert done.returncode == 1
    assert container.process.poll() is None and len(container.zombies()) == 15
    clear(container, "--terminate-parent", "--pid", str(pid))
    assert container.end().status == 0


def test_a_dry_run_sends_nothing(start: Start, clear: Ctl, compiled: Callable[[str, str], str]) -> None:
    """Neither SIGCHLD, which would cure these zombies, nor SIGTERM."""
    container = start("--", *beside(python(LATE)))
    container.expect("ready")
    done = clear(container, "--terminate-parent", "--dry-run")
    ask, end, left = done.stdout.splitlines()
    assert ask.startswith("would ask python3") and ask.endswith(" (SIGCHLD) to wait for its 3 zombies"), done
    assert end.startswith("would end (SIGTERM) python3") and end.endswith(" if it does not"), done
    assert left == "3 zombies left"
    assert done.returncode == 1
    assert len(container.zombies()) == 3
    workload = start("--", compiled("leaks", NEVER_WAITS))
    workload.expect("ready")
    await_counters(workload)
    spared = clear(workload, "--terminate-parent", "--dry-run")
    assert "\nleaks (pid 2) is the workload: name it with --pid 2" in spared.stdout and spared.returncode == 1, spared


def test_only_the_zombies_below_a_process_are_looked_at(start: Start, clear: Ctl) -> None:
    """With ``-p PID``. That process itself may be ended, too."""
    container = start("--", "sh", "-c", f"{LEAVES_A_ZOMBIE} & {LEAVES_A_ZOMBIE.replace('1000', '2000')} & wait; wait")
    container.await_zombies(2)
    everybody = partial(psutil.Process(container.init).children, recursive=True)
    eventually(lambda: [one.name() for one in everybody()].count("sleep") == 4, "all have been executed")
    done = clear(container, "--dry-run")
    pid = next(line.split("(pid ")[1].split(")")[0] for line in done.stdout.splitlines() if "sleep 2000" in line)
    done = clear(container, "--terminate-parent", "-p", pid)
    assert done.stdout.endswith(f"\nsleep 2000 (pid {pid}) has ended\nno zombies left\n") and done.returncode == 0, done
    assert "sleep 1000" not in done.stdout
    assert len(container.zombies()) == 1


def test_without_an_init_that_reaps_the_zombies_are_left_to_pid_1(
    bin_folder: Path, compiled: Callable[[str, str], str]
) -> None:
    """The parent is ended. Then PID 1 is reported: now it is the one that does not wait."""
    program = """if True:
        import os, subprocess, sys
        leaks, pyinitctl = sys.argv[1:]
        child = subprocess.Popen([leaks], stdout=subprocess.PIPE)
        child.stdout.readline()
        sys.exit(subprocess.run([pyinitctl, 'clear', '--terminate-parent']).returncode)
    """
    command = [*UNSHARE, INTERPRETER, "-ISc", program, compiled("leaks", NEVER_WAITS), f"{bin_folder}/pyinitctl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    *_, ended, verdict, left = done.stdout.splitlines()
    assert ended.startswith("leaks (pid ") and ended.endswith(") has ended"), done
    assert "(pid 1) has 16 children that it has not waited for" in verdict and "under an init" in verdict, done
    assert (done.returncode, left) == (1, "16 zombies left")


def test_a_pid_1_that_does_not_reap_is_never_ended(bin_folder: Path) -> None:
    """Not even if it is named."""
    program = f"(sleep 0.01 & exec sleep 0.1) & wait; {bin_folder}/pyinitctl clear --terminate-parent -p 1; echo $?"
    program = f"{HAS_A_ZOMBIE}os.spawnlp(os.P_WAIT, 'sh', 'sh', '-c', '{program}')"
    done = subprocess.run([*UNSHARE, INTERPRETER, "-ISc", program], capture_output=True, text=True, timeout=PATIENCE)
    lines = done.stdout.splitlines()
    assert lines[1].endswith("(pid 1) is left alone: it is PID 1 of its container"), done
    assert lines[-1] == "1" and done.returncode == 0, done


def test_the_workload_of_a_pyinit_that_is_not_pid_1_is_spared_too(
    launcher: str, bin_folder: Path, compiled: Callable[[str, str], str]
) -> None:
    """It is known from the counters of the pyinit above it, in the same PID namespace."""
    leaks = compiled("leaks", NEVER_WAITS)
    program = f"""if True:
        import os, subprocess, sys
        pyinit = subprocess.Popen(['{launcher}', '-s', '--', '{leaks}'], stdout=subprocess.PIPE)
        pyinit.stdout.readline()
        status = ['{bin_folder}/pyinitctl', 'status', '-p', str(pyinit.pid)]
        while subprocess.run(status, capture_output=True).returncode:
            pass
        def clear(pid):
            return subprocess.run(['{bin_folder}/pyinitctl', 'clear', '--terminate-parent', '-p', str(pid)]).returncode
        workload = open(f'/proc/{{pyinit.pid}}/task/{{pyinit.pid}}/children').read().strip()
        print(clear(pyinit.pid), pyinit.poll(), flush=True)
        print(clear(workload), flush=True)
        print(pyinit.wait(), flush=True)
    """
    done = subprocess.run([*UNSHARE, INTERPRETER, "-ISc", program], capture_output=True, text=True, timeout=PATIENCE)
    assert "is the workload: name it with --pid " in done.stdout, done
    assert "\n15 zombies left\n1 None\n" in done.stdout, done
    assert done.stdout.endswith(f"\nno zombies left\n0\n{128 + signal.SIGTERM}\n"), done


def test_the_workload_is_known_from_outside_of_its_namespace(start: Start, bin_folder: Path) -> None:
    """The counters have pids of the container's namespace; pyinitctl sees the host's."""
    container = start("--", "sh", "-c", LEAVES_A_ZOMBIE.strip("()"))
    container.await_zombies(1)
    pid_of(container, "sleep")
    await_counters(container)
    workload = psutil.Process(container.init).children()[0].pid
    command = [f"{bin_folder}/pyinitctl", "clear", "--terminate-parent", "-p"]
    done = subprocess.run([*command, str(container.init)], capture_output=True, text=True, timeout=PATIENCE)
    spared = f"sleep 1000 (pid {workload}) is the workload: name it with --pid {workload} to end it"
    assert f"\n{spared}, and the container with it\n" in done.stdout and done.returncode == 1, done
    named = subprocess.run([*command, str(workload)], capture_output=True, text=True, timeout=PATIENCE)
    assert named.stdout.endswith(f"\nsleep 1000 (pid {workload}) has ended\nno zombies left\n"), named
    assert named.returncode == 0
    assert container.end().status == 128 + signal.SIGTERM


def test_the_name_of_a_process_cannot_forge_a_line(start: Start, clear: Ctl) -> None:
    """A command line with a line feed and an escape sequence."""
    container = start(
        "--", "sh", "-c", '(sleep 0.01 & exec "$@")', "sh", *python("import time; time.sleep(1000)", "\n\033[31m")
    )
    container.await_zombies(1)
    pid_of(container, Path(INTERPRETER).name)
    done = clear(container, "--dry-run", "--terminate-parent")
    assert len(done.stdout.splitlines()) == 3 and "\\x0a\\x1b[31m" in done.stdout, done


def test_if_nothing_can_be_seen_the_status_is_3(start: Start, clear: Ctl) -> None:
    """As with the other commands."""
    container = start("--", "sleep", "1000")
    pid_of(container, "sleep")
    done = clear(container, "-p", "999")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "pyinitctl: no process with pid 999 is visible\n"


def test_what_hidepid_hides_may_be_the_init_of_a_workload(
    start: Start, clear: Ctl, compiled: Callable[[str, str], str]
) -> None:
    """PID 1 cannot be seen then, and a child of it could be the workload."""
    remount = ["sh", "-c", 'mount -o remount,hidepid=2 /proc; exec "$@"', "sh"]
    container = start("-u", "12345:12345", "--", compiled("leaks", NEVER_WAITS), before=remount)
    container.expect("ready")
    before = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")
    done = clear(container, "--terminate-parent", before=before)
    pid = pid_of(container, "leaks")
    assert f"\nleaks (pid {pid}) may be the workload (" in done.stdout and done.returncode == 1, done
    assert "hidepid" in done.stdout
    assert done.stderr == f"pyinitctl: {HIDDEN}\n"


def test_zombies_that_were_seen_despite_hidepid_can_be_cleared(
    start: Start, clear: Ctl, compiled: Callable[[str, str], str]
) -> None:
    """The status is 0, though no other process can be seen then."""
    remount = ["sh", "-c", 'mount -o remount,hidepid=2 /proc; exec "$@"', "sh"]
    container = start("-u", "12345:12345", "--", *beside([compiled("leaks", NEVER_WAITS)]), before=remount)
    container.expect("ready")
    before = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")
    done = clear(container, "--terminate-parent", before=before)
    assert done.stdout.endswith(") has ended\nno zombies left\n"), done
    assert (done.returncode, done.stderr) == (0, f"pyinitctl: {HIDDEN}\n")


@pytest.mark.parametrize("words", [[], ["--terminate-parent"], ["--dry-run"], ["-p1"]])
def test_if_hidepid_hides_all_processes_the_status_is_3(start: Start, clear: Ctl, words: list[str]) -> None:
    """To see no zombies does not mean that there are none. One line says why."""
    remount = ["sh", "-c", 'mount -o remount,hidepid=2 /proc; exec "$@"', "sh"]
    container = start("--", *python(LATE), before=remount)
    container.expect("ready")
    before = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")
    done = clear(container, *words, before=before)
    assert (done.returncode, done.stdout) == (3, ""), done
    assert done.stderr.startswith("pyinitctl: ") and done.stderr.endswith(f" {HIDDEN}\n"), done
    assert done.stderr.count("\n") == 1, done


def test_pid_1_of_a_container_is_left_alone_from_outside_too(
    bin_folder: Path, compiled: Callable[[str, str], str]
) -> None:
    """It has another pid outside, but all of its namespace would end with it."""
    with subprocess.Popen([*UNSHARE, compiled("leaks", NEVER_WAITS)], stdout=subprocess.PIPE) as container:
        try:
            assert container.stdout and container.stdout.readline() == b"ready\n"
            command = [f"{bin_folder}/pyinitctl", "clear", "--terminate-parent", "-p", str(container.pid)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
            assert ") is left alone: it is PID 1 of its container\n" in done.stdout, done
            assert done.returncode == 1
        finally:
            container.kill()
