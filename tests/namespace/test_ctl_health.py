"""pyinitctl health: 0 or 1 and one line in every case."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from testing.namespaces import INTERPRETER, Container, python
from testing.waiting import PATIENCE, eventually

from .conftest import STAYS, Start, ending

Ask = Callable[..., tuple[int, str]]

OTHER = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
"""As another user."""

LEAK = """if True:
    import posix, sys
    for _ in range(3):
        if posix.fork() == 0:
            posix._exit(0)
    print(flush=True)
    sys.stdin.readline()
"""
"""A workload with three zombies."""


@pytest.fixture
def health(bin_folder: Path) -> Ask:
    """Run ``pyinitctl health`` in a container, as Docker does; return exit status and line."""

    def health(container: Container, *words: str, before: list[str] | None = None) -> tuple[int, str]:
        return told([*container.enter, *(before or []), str(bin_folder / "pyinitctl"), "health", *words])

    return health


def told(command: list[str]) -> tuple[int, str]:
    """The exit status and the line of a command; fail if it wrote anything else."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stderr == "" and done.stdout.endswith("\n") and done.stdout.count("\n") == 1, done
    return done.returncode, done.stdout.rstrip("\n")


def becomes(look: Callable[[], tuple[int, str]], status: int, pattern: str) -> None:
    """Wait for this status and a line like this."""
    eventually(look, pattern, holds=lambda seen: seen[0] == status and re.fullmatch(pattern, seen[1]))


def test_a_workload_that_runs_is_healthy(start: Start, health: Ask) -> None:
    """The line has its name and how long it has been running."""
    container = start("--", "sleep", "1000")
    container.await_rest()
    becomes(lambda: health(container), 0, r"healthy: sleep \(pid 2\) has been running for [0-9.hms]+")


def test_a_pause_is_healthy(start: Start, health: Ask) -> None:
    """It needs no workload."""
    container = start("--pause")
    becomes(lambda: health(container), 0, r"healthy: pausing for [0-9.hms]+")


@pytest.mark.parametrize(
    ("options", "status", "line"),
    [
        (["--drain-timeout=600"], 1, r"unhealthy: pyinit is shutting down \(draining\)"),
        (
            ["--wait-for=all"],
            0,
            r"healthy: sh \(pid 2\) has ended, and pyinit stays until the last process has ended",
        ),
    ],
)
def test_a_container_that_is_shutting_down_is_unhealthy(
    start: Start, health: Ask, options: list[str], status: int, line: str
) -> None:
    """One whose workload has ended and that stays for the others is healthy."""
    container = start(*options, "--", "sh", "-c", '"$@" & read line', "sh", *python(STAYS), stdin=subprocess.PIPE)
    container.expect("ready")
    container.await_rest()
    container.say()
    if status:  # not sooner: a pyinitctl that is in the container when the drain begins would be asked to end
        container.expect("asked")
    becomes(lambda: health(container), status, line)


def test_a_stopped_workload_is_unhealthy(start: Start, health: Ask) -> None:
    """It is healthy again after SIGCONT."""
    container = start("--", "sh", "-c", "echo; kill -STOP $$; exec sleep 1000")
    container.line()
    becomes(lambda: health(container), 1, r"unhealthy: sh \(pid 2\) is stopped")
    psutil.Process(container.init).children()[0].resume()
    becomes(lambda: health(container), 0, r"healthy: sh \(pid 2\) .*")


def test_a_stopped_pyinit_is_unhealthy(start: Start, health: Ask) -> None:
    """It does not reap."""
    container = start("--", "sleep", "1000")
    becomes(lambda: health(container), 0, "healthy: .*")
    container.signal(signal.SIGSTOP)
    becomes(lambda: health(container), 1, r"unhealthy: pyinit \(pid 1\) is stopped")
    container.signal(signal.SIGCONT)
    becomes(lambda: health(container), 0, "healthy: .*")


def test_zombies_are_reported_and_unhealthy_if_asked_for(start: Start, health: Ask) -> None:
    """Above N zombies, with the verdict on the worst parent, whose command line is not read."""
    container = start("--", *python(LEAK), stdin=subprocess.PIPE)
    container.line()
    parent = r"python\S* \(pid 2\) has 3 children that it has not waited for, the oldest for [0-9.hms]+: .*"
    becomes(lambda: health(container), 0, rf"healthy: python\S* \(pid 2\) has been .*; 3 zombies: {parent}")
    assert health(container, "--max-zombies=3")[0] == 0
    becomes(lambda: health(container, "--max-zombies=2"), 1, rf"unhealthy: 3 zombies: {parent}")


def test_old_zombies_are_unhealthy_if_asked_for(start: Start, health: Ask) -> None:
    """One of them is enough."""
    container = start("--", *python(LEAK), stdin=subprocess.PIPE)
    container.line()
    becomes(lambda: health(container, "--max-age=3600"), 0, "healthy: .*; 3 zombies: .*")
    becomes(
        lambda: health(container, "--max-age=0.3"),
        1,
        r"unhealthy: 3 zombies, 3 of them too old: python\S* \(pid 2\) has 3 children .*",
    )


@pytest.mark.parametrize("words", [[], ["--max-zombies=0"], ["--max-age=0"]])
def test_the_verdict_is_on_the_parent_that_does_not_wait_and_not_on_an_init(
    start: Start, health: Ask, tmp_path: Path, words: list[str]
) -> None:
    """An init that is about to reap is not at fault, even if it has more zombies."""
    program = tmp_path / "catatonit"
    shutil.copy("/bin/sleep", program)
    fresh = f"(for one in 1 2 3; do head -c1 <&3 & echo $!; done; exec 3<&-; exec {program} 1000)"
    leak = "(sleep 0.01 & exec sleep 1000)"
    script = f"exec 3<&0; {leak} & {fresh} & exec 3<&-; while :; do wait; sleep 1; done"
    container = start("--", "sh", "-c", script, stdin=subprocess.PIPE)
    heads = [container.line() for _ in range(3)]
    becomes(lambda: health(container), 0, r"healthy: .*; 1 zombie: sleep \(pid \d+\) has 1 child .*")

    init = psutil.Process(container.init)

    def count(name: str, status: str) -> int:
        return [f"{one.name()} {one.status()}" for one in init.children(recursive=True)].count(f"{name} {status}")

    eventually(lambda: count("catatonit", "sleeping") == 1 and count("head", "sleeping") == 3, "all have been executed")
    status, line = health(container, *words, before=ending(*heads))
    pattern = r"(un)?healthy: .*1 zombie(, 1 of them too old)?: sleep \(pid \d+\) has 1 child that .*"
    assert status == bool(words) and re.fullmatch(pattern, line), (words, line)


def test_names_cannot_forge_a_second_line(start: Start, health: Ask) -> None:
    """Neither the name of a zombie's parent nor that of the workload."""
    name = "\x1b[1m\nhealthy"
    program = f"open('/proc/self/comm', 'w').write({name!r})\n{LEAK}"
    container = start("--", *python(program), stdin=subprocess.PIPE)
    container.line()
    becomes(
        lambda: health(container, "--max-zombies=0"),
        1,
        r"unhealthy: 3 zombies: \\x1b\[1m\\x0ahealthy \(pid 2\) has 3 children .*",
    )


def test_a_pid_1_that_is_not_pyinit_is_unhealthy(start: Start, health: Ask) -> None:
    """Unless there is a pyinit in the same container: then that one counts, with the processes below it."""
    neglects = "import subprocess, time; kept = subprocess.Popen(['true']); time.sleep(1000)"
    before = ["sh", "-c", f'{INTERPRETER} -c "{neglects}" & "$@" & echo $!; wait', "sh"]
    container = start("--", "sleep", "1000", before=before)
    pid = container.line()
    everybody = partial(psutil.Process(container.process.pid).children, recursive=True)
    eventually(lambda: any(one.status() == psutil.STATUS_ZOMBIE for one in everybody()), "there is a zombie")
    sleeps = r"healthy: sleep \(pid \d+\) has been running for [^;]*"
    becomes(lambda: health(container, "-p", pid), 0, sleeps)
    becomes(lambda: health(container, "--max-zombies=0"), 0, sleeps)
    assert health(container, "-p", "4000000") == (1, "unhealthy: no process with pid 4000000 is visible")
    status, line = health(container, "-p", "1")
    assert (status, line[:47]) == (1, "unhealthy: pid 1 (sh) publishes no counters: it")


def test_a_pause_container_is_not_taken_for_ours(start: Start, bin_folder: Path) -> None:
    """In a pod that shares its process namespace PID 1 may also be a pyinit. Ours has the same root folder."""
    pause = start("--pause")
    pause.await_rest()
    enter = pause.enter
    command = [*enter, "unshare", "--mount", str(bin_folder / "pyinit"), "--", "sleep", "1000"]
    with subprocess.Popen(command) as ours:
        eventually(psutil.Process(ours.pid).children, "nsenter has started it")
        [init] = psutil.Process(ours.pid).children()
        inside = ["nsenter", f"--target={init.pid}", "--mount", "--pid", str(bin_folder / "pyinitctl"), "health"]
        try:
            becomes(lambda: told(inside), 0, r"healthy: sleep \(pid \d+\) has been running for [^;]*")
        finally:
            init.kill()


def test_another_user_is_told_which_user_to_be(start: Start, health: Ask) -> None:
    """The container counts as unhealthy: a HEALTHCHECK that cannot look is set up wrong."""
    container = start("--", "sleep", "1000")
    becomes(lambda: health(container), 0, "healthy: .*")
    who = "pid 1 belongs to user 0:0 and pyinitctl runs as 12345:12345"
    line = f"unhealthy: {who}: run it as that user (docker exec -u 0:0)"
    assert health(container, before=OTHER) == (1, line)


def test_the_workload_is_found_from_the_host(start: Start, bin_folder: Path) -> None:
    """Its pid differs there. Only processes below that pyinit are looked at."""
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    container = start("--", "sh", "-c", "echo; kill -STOP $$; exec sleep 1000")
    container.line()
    command = [str(bin_folder / "pyinitctl"), "health", "--max-zombies=0", "-p", str(container.init)]
    becomes(lambda: told(command), 1, r"unhealthy: sh \(pid 2\) is stopped")
    psutil.Process(container.init).children()[0].resume()
    becomes(lambda: told(command), 0, r"healthy: sh \(pid 2\) has been running for .*")
    zombie.wait()


def test_a_line_that_cannot_be_written_is_unhealthy(start: Start, health: Ask, bin_folder: Path) -> None:
    """The status is 1."""
    container = start("--", "sleep", "1000")
    becomes(lambda: health(container), 0, "healthy: .*")
    with open("/dev/full", "wb") as full:
        command = [*container.enter, str(bin_folder / "pyinitctl"), "health"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("words", [["--max-zombies=-1"], ["--max-age=x"], ["-p", "0"], ["--max-zombies"]])
def test_a_wrong_word_is_a_usage_error(bin_folder: Path, words: list[str]) -> None:
    """2, as everywhere."""
    done = subprocess.run([str(bin_folder / "pyinitctl"), "health", *words], capture_output=True)
    assert (done.returncode, done.stdout) == (2, b"")
