"""``pyinitctl zombies``: which process should wait for each zombie."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyinit.ctl import picture
from testing.compiler import compile_c
from testing.namespaces import IN_TIME, INTERPRETER, UNSHARE, Container, python
from testing.waiting import PATIENCE, eventually

from .conftest import Ctl, Start, await_counters, ending

C = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t target;

static void ready(void) {
    if (write(1, "ready\n", 6) != 6)
        _exit(9);
}

static void *wait_for_ever(void *unused) {
    ready();
    for (;;)
        pause();
    return unused;
}

static void *trace(void *unused) {
    if (ptrace(PTRACE_SEIZE, target, 0, 0))
        _exit(8);
    kill(target, SIGKILL);
    return wait_for_ever(unused);
}

int main(int count, char **words) {
    pthread_t thread;
    const char *what = words[1];
    if (!strcmp(what, "leak")) {  /* LIVE DEAD: the numbers of live children and of zombies, the live ones first */
        for (int live = atoi(words[2]); live > 0; live--)
            if (!fork())
                wait_for_ever(NULL);
        int dead = atoi(words[3]);
        pid_t *children = calloc(dead + 1, sizeof *children);
        for (int one = 0; one < dead; one++)
            if (!(children[one] = fork()))
                _exit(0);
        siginfo_t ended;
        for (int one = 0; one < dead; one++)
            if (children[one] < 0 || waitid(P_PID, children[one], &ended, WEXITED | WNOWAIT))
                _exit(3);
        wait_for_ever(NULL);
    }
    if (!strcmp(what, "storm")) {
        /* Short-lived processes, reaped by the kernel or by the init: never by this one, which a loaded machine may not
           run for longer than the time between two looks. */
        signal(SIGCHLD, SIG_IGN);
        for (ready();;) {
            for (int one = 0; one < 20; one++)
                if (!fork()) {
                    if (one % 2)
                        fork();
                    _exit(0);
                }
            while (waitpid(-1, NULL, 0) > 0)
                ;
        }
    }
    if (!strcmp(what, "threads")) {  /* the main thread ends before another */
        pthread_create(&thread, NULL, wait_for_ever, NULL);
        pthread_exit(NULL);
    }
    if (!strcmp(what, "trace")) {  /* another process's child; "by-thread": not by the main thread */
        int ends[2];
        if (pipe(ends))
            _exit(7);
        if (!fork()) {
            prctl(PR_SET_NAME, "the-parent");
            if (!(target = fork()))
                for (;;)
                    pause();
            if (write(ends[1], &target, sizeof target) < 0)
                _exit(6);
            for (;;)
                waitpid(target, NULL, 0);
        }
        if (read(ends[0], &target, sizeof target) != sizeof target)
            _exit(5);
        if (count < 3)
            trace(NULL);
        pthread_create(&thread, NULL, trace, NULL);
        for (;;)
            pause();
    }
    if (!strcmp(what, "named")) {  /* PARENT CHILD: the names of both */
        prctl(PR_SET_NAME, words[2]);
        if (!fork()) {
            prctl(PR_SET_NAME, words[3]);
            _exit(0);
        }
        wait_for_ever(NULL);
    }
    return 4;
}
"""

LEAKS = {
    "os.fork": """if True:
        import os, time
        for _ in range(3):
            os.fork() or os._exit(0)
        time.sleep(1000)
    """,
    "multiprocessing": """if True:
        import multiprocessing, time
        fork = multiprocessing.get_context("fork")
        processes = [fork.Process(target=int) for _ in range(3)]
        processes[0].start()  # (start() itself waits for those that have ended)
        for process in processes[1:]:
            process._popen = process._Popen(process)
        time.sleep(1000)
    """,
    "subprocess": """if True:
        import subprocess, time
        kept = [subprocess.Popen(["true"]) for _ in range(3)]
        time.sleep(1000)
    """,
}

needs_sched = pytest.mark.skipif(not Path("/proc/self/sched").exists(), reason="this kernel has no /proc/PID/sched")


@pytest.fixture(scope="session")
def zoo(bin_folder: Path) -> str:
    """The program in C; its first argument says what it does."""
    return str(compile_c(C, bin_folder.parent / "zoo", "-pthread"))


@pytest.fixture
def look(ctl: Ctl) -> Ctl:
    """Run ``pyinitctl zombies`` in a container, as ``docker exec`` does."""
    return lambda container, *words, **options: ctl(container, "zombies", *words, **options)


def outside(container: Container, pid: int) -> int:
    """The outside pid of the process that is `pid` in the container."""
    for process in psutil.Process(container.init).children(recursive=True):
        status = Path(f"/proc/{process.pid}/status").read_text()
        if re.search(rf"^NSpid:.*\t{pid}$", status, re.MULTILINE):
            return process.pid
    raise AssertionError(f"pid {pid} does not exist in the container")


def told(done: "subprocess.CompletedProcess[str]", status: int = 1) -> dict[str, list[dict[str, object]]]:
    """What ``--json`` says."""
    assert (done.returncode, done.stderr) == (status, ""), done
    assert done.stdout.isascii() and done.stdout.count("\n") == 1
    found: dict[str, list[dict[str, object]]] = json.loads(done.stdout)
    return found


def number(value: object) -> float:
    """It is one."""
    assert isinstance(value, int | float)
    return value


def test_no_zombies_is_status_0(start: Start, look: Ctl) -> None:
    """As text and as JSON."""
    container = start("--", "sleep", "1000")
    container.await_rest()
    done = look(container)
    assert (done.returncode, done.stdout, done.stderr) == (0, "no zombies\n", "")
    assert told(look(container, "--json"), status=0) == {"zombies": [], "verdicts": []}


ADVICE = "it should call wait() or join(), or handle SIGCHLD"


@pytest.mark.parametrize("way", [*LEAKS, "sh", "C"])
def test_the_parent_that_does_not_wait_is_named(start: Start, look: Ctl, zoo: str, tmp_path: Path, way: str) -> None:
    """With its command and pid, how many zombies it has and for how long, and what it should do."""
    count, children = 3, "3 children"
    since = "the oldest for"
    if way == "sh":
        # The shell executes sleep, which is still the parent of the shell's children.
        count, children, since = 1, "1 child", "for"
        command, words = r"sleep 1000", ["sh", "-c", "(true & exec sleep 1000)"]
    elif way == "C":
        command, words = r"zoo leak 0 3", [zoo, "leak", "0", "3"]
    else:
        (tmp_path / "worker.py").write_text(LEAKS[way])
        words = [INTERPRETER, "worker.py"]
        command = rf"{re.escape(Path(INTERPRETER).name)} worker\.py"
    container = start("--", *words, cwd=tmp_path)
    container.await_zombies(count)
    if way == "sh":
        init = psutil.Process(container.init)
        eventually(lambda: "sleep" in [one.name() for one in init.children(recursive=True)], "sleep has been executed")
    done = look(container)
    assert (done.returncode, done.stderr) == (1, "")
    header, *rows, blank, total, verdict = done.stdout.splitlines()
    age = r"(at most )?(\d+ms|\d+\.\ds)"
    found = re.fullmatch(
        rf"{command} \(pid (\d+)\) has {children} that it has not waited for, {since} {age}: {re.escape(ADVICE)}",
        verdict,
    )
    assert found, done.stdout
    assert header.split() == ["PID", "PPID", "AGE", "NAME"]
    assert len(rows) == count
    for row in rows:
        assert re.fullmatch(rf" *\d+ +{found[1]}  +{age}  \S+ +waits for its parent", row), done.stdout
    assert (blank, total) == ("", "1 zombie" if count == 1 else f"{count} zombies")

    seen = told(look(container, "--json"))
    assert {(one["parent"], one["kind"]) for one in seen["zombies"]} == {(int(found[1]), "unreaped")}
    assert len(seen["zombies"]) == count
    [judged] = seen["verdicts"]
    assert (judged["pid"], judged["kind"], judged["zombies"]) == (int(found[1]), "unreaped", count)
    assert str(judged["name"]) in str(judged["verdict"])


def test_the_help_has_an_example(start: Start, look: Ctl) -> None:
    """And lists the exit statuses."""
    container = start("--", "sleep", "1000")
    container.await_rest()
    done = look(container, "--help")
    assert done.returncode == 0
    assert "example:\n  docker exec app pyinitctl zombies\n" in done.stdout and "exit status:\n  0 if" in done.stdout


def test_with_a_pid_only_those_below_it_count(start: Start, look: Ctl, zoo: str) -> None:
    """A pid that does not exist is status 3, a malformed one a usage error."""
    container = start("--", "sh", "-c", f"{zoo} leak 0 2 & {zoo} leak 0 5 & wait")
    container.await_zombies(7)
    verdicts = told(look(container, "--json"))["verdicts"]
    assert [verdict["zombies"] for verdict in verdicts] == [5, 2]
    for verdict in verdicts:
        seen = told(look(container, "--json", "-p", str(verdict["pid"])))
        assert [one["zombies"] for one in seen["verdicts"]] == [verdict["zombies"]]
        assert len(seen["zombies"]) == verdict["zombies"]
    missing = look(container, "-p", "99999")
    assert (missing.returncode, missing.stdout) == (3, "")
    assert missing.stderr == "pyinitctl: no process with pid 99999 is visible\n"
    for wrong in (["-p", "0"], ["-p", "x"], ["--no-such"], ["word"]):
        assert look(container, *wrong).returncode == 2


DYING = """if True:
    import os, signal, time
    def wait_on(processor):
        'A child there that waits to be killed.'
        pid = os.fork()
        if pid == 0:
            signal.pause()
        os.sched_setaffinity(pid, [processor])
        return pid
    children = [wait_on(processor) for _ in range(2) for processor in sorted(os.sched_getaffinity(0))]
    for turn, pid in enumerate(children):
        if turn == len(children) // 2:
            time.sleep(1.2)  # the ages of the zombies before must include this, and those of the others must not
        before = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        print(pid, before, time.monotonic(), flush=True)
    print("ready", flush=True)
    time.sleep(1000)
"""


@needs_sched
def test_the_age_is_that_of_the_zombie_and_not_of_the_process(start: Start, look: Ctl) -> None:
    """Within 0.3 s, on whichever processor it ended, and however long it lived."""
    container = start("--", *python(DYING))
    died: dict[int, tuple[float, float]] = {}
    while (line := container.line()) != "ready":
        pid, sent, seen_dead = line.split()
        died[int(pid)] = float(sent), float(seen_dead)
    assert len(died) >= 2
    before = time.monotonic()
    seen = told(look(container, "--json"))["zombies"]
    after = time.monotonic()
    assert {one["pid"] for one in seen} == set(died)
    for one in seen:
        first, last = died[int(number(one["pid"]))]
        assert one["age_is_exact"] is True
        assert before - last - 0.3 < number(one["age_seconds"]) < after - first + 0.3, (one, before - last)


@needs_sched
def test_if_the_kernel_does_not_say_the_age_is_an_upper_bound(start: Start, look: Ctl) -> None:
    """Without /proc/PID/sched: it cannot have been a zombie for longer than since its start."""
    container = start("--", *python("import os, time; os.fork() or os._exit(0); time.sleep(1000)"))
    container.await_zombies(1)
    [zombie] = told(look(container, "--json"))["zombies"]
    hide = f'mount --bind /dev/null /proc/{zombie["pid"]}/sched && exec "$@"'
    before = ["unshare", "--mount", "sh", "-c", hide, "sh"]
    seen = told(look(container, "--json", before=before))
    assert [one["age_is_exact"] for one in seen["zombies"]] == [False]
    assert [one["oldest_is_exact"] for one in seen["verdicts"]] == [False]
    assert number(seen["zombies"][0]["age_seconds"]) >= number(zombie["age_seconds"])
    done = look(container, before=before)
    assert re.search(r"^ *\d+ +\d+  at most \S+  \S+  waits for its parent$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"has not waited for, for at most \S+: it should", done.stdout), done.stdout


def test_a_process_whose_main_thread_has_ended_is_not_a_zombie(start: Start, look: Ctl, zoo: str) -> None:
    """/proc shows it as one, but its other threads are running."""
    container = start("--", zoo, "threads", stdout=subprocess.PIPE)
    container.expect("ready")
    container.await_zombies(1)
    done = look(container)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].endswith("zoo   not a zombie: other threads of it are running"), done.stdout
    assert done.stdout.splitlines()[2:] == ["", "0 zombies"]
    seen = told(look(container, "--json"), status=0)
    assert [one["kind"] for one in seen["zombies"]] == ["threads"]
    assert seen["verdicts"] == []


@pytest.mark.parametrize("by_thread", [[], ["by-thread"]])
def test_a_tracer_that_does_not_wait_is_named_and_not_the_parent(
    start: Start, look: Ctl, zoo: str, by_thread: list[str]
) -> None:
    """The parent cannot reap it before the tracer has. The tracer may be any thread."""
    container = start("--", zoo, "trace", *by_thread, stdout=subprocess.PIPE)
    container.expect("ready")
    container.await_zombies(1)
    seen = told(look(container, "--json"))
    [zombie], [verdict] = seen["zombies"], seen["verdicts"]
    assert (zombie["kind"], verdict["kind"], verdict["zombies"]) == ("traced", "traced", 1)
    assert zombie["parent"] != verdict["pid"]
    name = " ".join(["zoo", "trace", *by_thread])
    assert re.fullmatch(
        rf"{name} \(pid {verdict['pid']}\) traces 1 zombie that it has not waited for, for [^:]+: "
        "a parent can wait only after the tracer, so end the tracing",
        str(verdict["verdict"]),
    ), verdict
    assert (
        Path(f"/proc/{outside(container, int(number(verdict['pid'])))}/status").read_text().startswith("Name:\tzoo\n")
    )
    assert " waits for its tracer\n" in look(container).stdout


def test_a_zombie_that_is_reaped_between_two_looks_was_about_to_be(start: Start, look: Ctl) -> None:
    """A parent that reaps each child a little later is not at fault."""
    program = """if True:
        import os, time
        while True:
            pid = os.fork() or os._exit(0)
            time.sleep(0.05)
            os.waitpid(pid, 0)
    """
    container = start("--", *python(program))
    container.await_rest()

    def is_fine(done: "subprocess.CompletedProcess[str]") -> bool:
        return done.returncode == 0 and "about to be reaped" in done.stdout

    seen = eventually(lambda: look(container), "it was reaped between the looks", holds=is_fine).stdout
    # A first look that takes long sees one child after another.
    assert re.fullmatch(r" *PID +PPID +AGE  NAME\n( *\d+ .*  about to be reaped\n)+\n0 zombies\n", seen), seen


def test_a_stopped_parent_cannot_wait(start: Start, look: Ctl, zoo: str) -> None:
    """The verdict says so, and does not blame the program."""
    container = start("--", "sh", "-c", f"{zoo} leak 0 2 & wait")
    container.await_zombies(2)
    [verdict] = told(look(container, "--json"))["verdicts"]
    parent = outside(container, int(number(verdict["pid"])))
    os.kill(parent, signal.SIGSTOP)
    eventually(lambda: psutil.Process(parent).status() == psutil.STATUS_STOPPED, "the parent has stopped")
    done = look(container)
    assert done.returncode == 1
    assert done.stdout.endswith(": it is stopped and cannot wait until it is continued (SIGCONT)\n"), done.stdout


OWN_CHILD = """if True:
    import os, time
    if os.fork() == 0:
        os._exit(0)
    print("ready", flush=True)
    time.sleep(1000)
"""

ORPHAN = """if True:
    import os, time
    if os.fork() == 0:
        os.fork()
        os._exit(0)
    os.wait()  # for one of the two
    print("ready", flush=True)
    time.sleep(1000)
"""


@pytest.mark.parametrize("program", [OWN_CHILD, ORPHAN], ids=["its own", "an orphan"])
def test_the_verdict_on_a_pid_1_without_an_init_names_both_cures(bare: Start, look: Ctl, program: str) -> None:
    """Which of them these are cannot be seen. An init helps only with orphans."""
    container = bare(*python(program))
    container.expect("ready")
    container.await_zombies(1)
    done = look(container)
    assert done.returncode == 1
    verdict = done.stdout.splitlines()[-1]
    advice = (
        "it is PID 1 and should wait for its own children; to have orphans reaped, run it under an init such as pyinit"
    )
    assert verdict.endswith(f": {advice}"), verdict
    assert "(pid 1) has 1 child that it has not waited for" in verdict


def test_pyinit_has_zombies_only_while_it_is_stopped(start: Start, look: Ctl) -> None:
    """It is stopped from outside, and reaps as soon as it is continued."""
    orphan = "exec 3<&0; (sh -c 'read line' <&3 &); echo ready; exec sleep 1000"
    container = start("--", "sh", "-c", orphan, stdin=subprocess.PIPE)
    container.expect("ready")
    container.await_rest()
    os.kill(container.init, signal.SIGSTOP)
    eventually(lambda: psutil.Process(container.init).status() == psutil.STATUS_STOPPED, "pyinit has stopped")
    container.say("end")
    container.await_zombies(1)
    seen = told(look(container, "--json"))
    [verdict] = seen["verdicts"]
    assert (verdict["pid"], verdict["kind"], verdict["zombies"]) == (1, "unreaped", 1)
    assert str(verdict["verdict"]).endswith(": it is stopped and cannot wait until it is continued (SIGCONT)")
    os.kill(container.init, signal.SIGCONT)
    eventually(lambda: look(container).stdout == "no zombies\n", "pyinit has reaped it")


def test_the_engine_has_to_wait_for_a_process_from_outside(start: Start, look: Ctl) -> None:
    """The parent of a process from ``docker exec`` is outside, so no process in the container can reap it."""
    container = start("--", "sleep", "1000")
    container.await_rest()
    engine = subprocess.Popen(
        [*container.enter, "sh", "-c", "echo ready; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert engine.stdout is not None and engine.stdin is not None
        assert engine.stdout.readline() == b"ready\n"
        [child] = psutil.Process(engine.pid).children()
        engine.send_signal(signal.SIGSTOP)
        eventually(lambda: psutil.Process(engine.pid).status() == psutil.STATUS_STOPPED, "the engine has stopped")
        engine.stdin.close()
        eventually(lambda: child.status() == psutil.STATUS_ZOMBIE, "it has ended")
        done = look(container)
        seen = told(look(container, "--json"))
    finally:
        engine.kill()
        engine.wait()
    assert done.returncode == 1
    assert re.search(
        r"^a process outside of this PID namespace has 1 child that it has not waited for, for [^:]+: "
        r"the container engine started it \(docker exec\) and has to wait for it$",
        done.stdout,
        re.MULTILINE,
    ), done.stdout
    assert [(one["pid"], one["zombies"]) for one in seen["verdicts"]] == [(0, 1)]


NOBODY = [
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
    "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search",  # the interpreter may be root's
]  # fmt: skip


@pytest.mark.parametrize("option", ["hidepid=1", "hidepid=2"])
def test_a_proc_that_hides_processes_is_reported(start: Start, look: Ctl, zoo: str, option: str) -> None:
    """The visible zombies are shown, and that others may be hidden is no error. Root sees all."""
    user = " ".join(NOBODY[:4])
    lone = f"({user} true & exec sleep 1000)"
    container = start("--", "sh", "-c", f"{zoo} leak 0 2 & {user} {zoo} leak 0 3 & {lone} & wait")
    container.await_zombies(6)
    subprocess.run(
        ["nsenter", f"--target={container.init}", "--mount", "--", "mount", "-o", f"remount,{option}", "/proc"],
        check=True,
    )
    line = "pyinitctl: /proc hides the processes of other users (hidepid): root sees all\n"
    done = look(container, before=NOBODY)
    assert (done.returncode, done.stderr) == (1, line)
    verdicts = done.stdout.splitlines()[-2:]
    assert re.match(r"zoo leak 0 3 \(pid \d+\) has 3 children that", verdicts[0]), done.stdout
    assert re.match(r"a process that is not visible \(pid \d+\) has 1 child that", verdicts[1]), done.stdout
    assert "\n4 zombies\n" in done.stdout
    as_json = look(container, "--json", before=NOBODY)
    assert as_json.stderr == line
    assert len(json.loads(as_json.stdout)["zombies"]) == 4
    assert len(told(look(container, "--json"))["zombies"]) == 6


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "no zombies among the visible processes;"),
        (["--json"], "no zombies among the visible processes;"),
        (["--host"], "no zombies among the visible processes;"),
        (["-p1"], "no process with pid 1 is visible:"),
    ],
)
def test_if_hidepid_hides_all_processes_the_status_is_3(
    start: Start, look: Ctl, zoo: str, words: list[str], what: str
) -> None:
    """To see no zombies does not mean that there are none. One line says why."""
    remount = ["sh", "-c", 'mount -o remount,hidepid=2 /proc; exec "$@"', "sh"]
    container = start("--", zoo, "leak", "0", "3", before=remount)
    container.await_zombies(3)
    done = look(container, *words, before=NOBODY)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"pyinitctl: {what} {picture.HIDDEN}\n"
    assert look(container).returncode == 1


@pytest.fixture
def init_named(start: Start, tmp_path: Path) -> tuple[Container, list[str]]:
    """A container with a sleep(1) that is named ``tini-static``; the words in front of a command that end its child."""
    program = tmp_path / "tini-static"
    shutil.copy("/bin/sleep", program)
    child = '(head -c1 <&3 & echo $!; exec 3<&- && exec "$1" 1000)'
    script = f"exec 3<&0; {child} & exec 3<&-; while :; do wait; sleep 1; done"
    container = start("--", "sh", "-c", script, "sh", str(program), stdin=subprocess.PIPE)
    head = container.line()
    await_counters(container)
    init = psutil.Process(container.init)

    def is_ready() -> bool:
        return {"tini-static", "head"} <= {one.name() for one in init.children(recursive=True)}

    eventually(is_ready, "both have been executed")
    return container, ending(head)


def test_a_zombie_of_an_init_is_about_to_be_reaped(init_named: tuple[Container, list[str]], look: Ctl) -> None:
    """For some seconds. After that the verdict is that this init does not reap it."""
    container, ending_first = init_named
    seen = told(look(container, "--json", before=ending_first), status=0)
    assert [one["kind"] for one in seen["zombies"]] == ["reaping"]
    [verdict] = seen["verdicts"]
    assert (verdict["kind"], verdict["zombies"]) == ("reaping", 1)
    assert verdict["verdict"] == f"tini-static 1000 (pid {verdict['pid']}) is an init and about to reap 1 child"
    eventually(lambda: look(container).returncode == 1, "it no longer counts as about to be reaped")
    seen = told(look(container, "--json"))
    assert [one["kind"] for one in seen["zombies"]] == ["unreaped"]
    assert number(seen["zombies"][0]["age_seconds"]) >= 5
    assert str(seen["verdicts"][0]["verdict"]).endswith(ADVICE)


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (
            "zombies",
            r".*\n.*  head  about to be reaped\n\n0 zombies\n.* is an init and about to reap 1 child\n",
        ),
        ("health", "((?!zombie).)*"),
        ("health --max-zombies=0", "healthy: .*"),
        ("status --prometheus", r".*\npyinit_zombies 0\n.*"),
        ("clear", "no zombies\n"),
    ],
)
def test_no_command_counts_a_zombie_that_an_init_is_about_to_reap(
    init_named: tuple[Container, list[str]], ctl: Ctl, words: str, pattern: str
) -> None:
    """Some seconds later they do."""
    container, ending_first = init_named
    done = ctl(container, *words.split(), before=ending_first)
    assert re.fullmatch(pattern, done.stdout, re.DOTALL), done
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_in_a_pid_namespace_the_host_is_not_visible(start: Start, look: Ctl, words: list[str]) -> None:
    """A line on standard error says so. The status is about the visible processes."""
    container = start("--", "sleep", "1000")
    container.await_rest()
    done = look(container, "--host", *words)
    assert (done.returncode, done.stderr) == (
        0, "pyinitctl: this is not the PID namespace of a host: other containers are not visible\n",
    )  # fmt: skip
    assert look(container, *words).stderr == ""


def test_host_and_pid_exclude_each_other(start: Start, look: Ctl) -> None:
    """``--host`` and ``-p`` are a usage error together."""
    container = start("--", "sleep", "1000")
    container.await_rest()
    for words in (["--host", "-p", "1"], ["-p1", "--host"]):
        done = look(container, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "not allowed with argument" in done.stderr and "Traceback" not in done.stderr, done.stderr


COMMANDS = ["status", "zombies", "clear", "tree", "health", "install"]


@pytest.mark.parametrize(
    "command", [*COMMANDS, "zombies --json", "status --json", "status --prometheus", "--help", "-V"]
)
def test_standard_output_may_be_closed(start: Start, bin_folder: Path, tmp_path: Path, command: str) -> None:
    """The status is the same, and there is no complaint."""
    container = start("--", "sleep", "1000")
    await_counters(container)
    words = [*command.split(), *[str(tmp_path / "launcher")] * (command == "install")]
    enter = container.enter
    for script in ('"$@" >&-', '"$@" <&- >&-'):
        closed = [*enter, "sh", "-c", script, "sh", str(bin_folder / "pyinitctl"), *words]
        done = subprocess.run(closed, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), (script, done)


@pytest.mark.parametrize(
    "words", [["-V"], ["--help"], *([command, "--help"] for command in COMMANDS), ["zombies"], ["tree"]]
)
def test_output_that_cannot_be_written_is_one_line(bin_folder: Path, words: list[str]) -> None:
    """The status is 3, and the interpreter does not try again at its exit."""
    command = [*UNSHARE, str(bin_folder / "pyinitctl"), *words]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (3, "pyinitctl: cannot go on: No space left on device\n")


@pytest.mark.parametrize("script", ['"$@" 2>&-', '"$@" 2>/dev/full'])
def test_standard_error_may_be_lost(bin_folder: Path, script: str) -> None:
    """The status is still 3."""
    command = [*UNSHARE, "sh", "-c", script, "sh", str(bin_folder / "pyinitctl"), "zombies", "-p999"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


@pytest.mark.parametrize("words", [["zombies", "--host"], ["host"]])
def test_a_warning_that_cannot_be_written_is_no_failure(bin_folder: Path, words: list[str]) -> None:
    """What is visible has been printed."""
    command = [*UNSHARE, "sh", "-c", '"$@" 2>/dev/full', "sh", str(bin_folder / "pyinitctl"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "") and "zombies" in done.stdout


def test_error_messages_are_never_written_to_standard_output(bin_folder: Path) -> None:
    """Even if standard error is closed."""
    command = [*UNSHARE, "sh", "-c", '"$@" 2>&-; exit 0', "sh", str(bin_folder / "pyinitctl"), "zombies", "--host"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "no zombies\n", "")


def test_without_a_proc_of_this_namespace_nothing_can_be_seen(bin_folder: Path) -> None:
    """/proc is not mounted, or is that of another PID namespace: status 3 and one line."""
    program = str(bin_folder / "pyinitctl")
    missing = [*UNSHARE, "sh", "-c", 'umount -l /proc && "$@"', "sh", program, "zombies"]
    other = ["unshare", "--pid", "--fork", "--kill-child", program, "zombies", "--json"]
    for command in (missing, other):
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert (done.returncode, done.stdout) == (3, ""), done
        assert done.stderr == "pyinitctl: /proc is not mounted, or is that of another PID namespace\n"


HOSTILE = [
    b"two\nlines",
    b"\x1b[31mred\x1b[0m",
    b"\x1b]0;title\x07",
    b") Z 1 (",
    b") S 1 1 1 0",
    b"((( [x] )))",
    b" spaces  all ",
    b"\xff\xfe\x80bad",
    b"\xe2\x80\xaeright-left",
    b"\xe2\x80\xa8line\xe2\x80\xa9",
    b"\xc2\x85\xc2\x9b31m",
    b"a\rb\tc\bd",
    b"\xed\xa0\x80lone",
    b"\xf0\x9f\xa7\x9f",
    b"'\"\\$(id)`",
    b"%s{0}{pid}",
]


def test_no_name_can_forge_a_line_or_drive_a_terminal(start: Start, look: Ctl, zoo: str) -> None:
    """Names and command lines of zombies and parents may hold any byte, and be very long."""
    program = """if True:
        import ast, os, sys, time
        for words in ast.literal_eval(sys.argv[2]):
            os.posix_spawn(sys.argv[1], [*words, b"x" * 100_000], {})
        time.sleep(1000)
    """
    commands = [[name, b"named", name, name, name + b"\n1 zombie"] for name in HOSTILE]
    container = start("--", *python(program, zoo, repr(commands)))
    container.await_zombies(len(HOSTILE))
    done = look(container)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.endswith("\n")
    lines = done.stdout.removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines), [line for line in lines if not line.isprintable()]
    header, rows, rest = lines[0], lines[1 : 1 + len(HOSTILE)], lines[1 + len(HOSTILE) :]
    assert header.split() == ["PID", "PPID", "AGE", "NAME"]
    assert all(re.match(r" *\d+ +\d+  ", row) and row.endswith("  waits for its parent") for row in rows), rows
    assert rest[:2] == ["", f"{len(HOSTILE)} zombies"]
    assert len(rest) == 2 + len(HOSTILE)
    assert all(verdict.endswith(ADVICE) and len(verdict) < 250 for verdict in rest[2:])

    seen = told(look(container, "--json"))
    text = json.dumps(seen, ensure_ascii=False)
    assert text.isprintable()
    assert "named" in text.encode().decode()
    names = {str(one["name"]) for one in seen["zombies"]}
    assert len(names) == len(HOSTILE)
    assert {"two\\x0alines", ") Z 1 (", "\\u202eright-left"[:18]} <= names, names
    assert {one["zombies"] for one in seen["verdicts"]} == {1}


@pytest.mark.slow
@given(
    names=st.lists(st.binary(min_size=1, max_size=15).filter(lambda name: b"\0" not in name), min_size=5, max_size=5)
)
@settings(max_examples=5, deadline=None)
def test_any_name_is_shown(bin_folder: Path, names: list[bytes]) -> None:
    """Five zombies with names of any bytes are five zombies, as text and as JSON."""
    program = """if True:
        import ast, os, subprocess, sys
        for name in ast.literal_eval(sys.argv[2]):
            pid = os.fork()
            if pid == 0:
                os.write(os.open("/proc/self/comm", os.O_WRONLY), name)
                os._exit(0)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        for words in ([], ["--json"]):
            assert os.spawnv(os.P_WAIT, sys.argv[1], ["pyinitctl", "zombies", *words]) == 1
    """
    command = [*UNSHARE, *python(program, str(bin_folder / "pyinitctl"), repr(names))]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, b"")
    *text, seen = done.stdout.decode().removesuffix("\n").split("\n")
    assert len(text) == 1 + 5 + 3
    assert all(line.isprintable() for line in text)
    assert len(json.loads(seen)["zombies"]) == 5


@pytest.mark.slow
def test_five_thousand_zombies_are_counted(start: Start, look: Ctl, zoo: str) -> None:
    """And their parent is named."""
    container = start("--", zoo, "leak", "0", "5000", stdout=subprocess.PIPE)
    container.expect("ready")
    container.await_zombies(5000)
    done = look(container)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 1 + 5000 + 3
    assert lines[-2] == "5000 zombies"
    assert lines[-1].startswith("zoo leak 0 5000 (pid ") and " has 5000 children that " in lines[-1]
    seen = told(look(container, "--json"))
    assert len({one["pid"] for one in seen["zombies"]}) == 5000
    assert [one["zombies"] for one in seen["verdicts"]] == [5000]


def test_processes_that_come_and_go_meanwhile_change_nothing(start: Start, look: Ctl, zoo: str) -> None:
    """Of many short-lived processes seven stay zombies, and only these are reported."""
    script = f"{zoo} leak 0 7 & {zoo} storm & {zoo} storm & wait"
    container = start("--", "nice", "-n", "20", "sh", "-c", script, before=IN_TIME)  # PID 1 reaps in time
    for _ in range(3):
        container.expect("ready")
    for _ in range(5):
        seen = told(look(container, "--json"))
        unreaped = [one["zombies"] for one in seen["verdicts"] if one["kind"] == "unreaped"]
        assert unreaped == [7], seen
        text = look(container)
        assert (text.returncode, text.stderr) == (1, "")
        assert " has 7 children that it has not waited for" in text.stdout


@pytest.fixture
def crowd(start: Start, zoo: str) -> Container:
    """10,000 live processes, and three zombies after them."""
    container = start("--", zoo, "leak", "10000", "3", stdout=subprocess.PIPE)
    assert container.process.stdout
    container.process.stdout.read(len("ready\n") * 10_000)  # at once: `expect` starts a thread for each line
    container.expect("ready")
    container.await_zombies(3)
    return container


READS = """if True:
    import posix
    for name in posix.listdir("/proc"):
        if name.isdigit():
            file = posix.open(f"/proc/{name}/stat", posix.O_RDONLY)
            posix.read(file, 8192)
            posix.close(file)
"""
"""Reads what a look has to read, and does nothing with it."""


def processor_seconds(action: Callable[[], subprocess.CompletedProcess[str]]) -> float:
    """The CPU time of the processes that this starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    action()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.slow
def test_ten_thousand_processes_take_little_more_than_reading_them(crowd: Container, look: Ctl) -> None:
    """At most three times the CPU time, two starts of an interpreter included. (How many seconds, the bench shows: they
    say as much about the machine and what else it does.)"""
    assert look(crowd).returncode == 1
    words = [*crowd.enter, *python(READS)]
    looking, reading = [], []
    for _ in range(7):
        looking.append(processor_seconds(lambda: look(crowd)))
        reading.append(processor_seconds(lambda: subprocess.run(words, check=True, text=True)))
    assert min(looking) < 3 * min(reading), (looking, reading)
