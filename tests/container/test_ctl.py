"""pyinitctl in containers: zombies of programs in Python, sh and C, and the users who may look."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import docker
import pytest
from docker.models.containers import Container
from docker.models.images import Image

from testing.compiler import compile_c
from testing.containers import Containers, await_counters, await_output, ended
from testing.images import built
from testing.waiting import eventually

from .test_restrictions import RESTRICTIONS

PYTHON = """
import multiprocessing, os, signal
fork = multiprocessing.get_context("fork")
reader, writer = os.pipe()
workers = [fork.Process(target=os.read, args=(reader, 1)) for _ in range(3)]
for worker in workers:
    worker.start()
os.write(writer, b"end")  # not sooner: start() waits for those that have ended
print("ready", flush=True)
while True:
    signal.pause()
"""

SUBPROCESS = """
import signal, subprocess
kept = [subprocess.Popen(["true"]) for _ in range(3)]
print("ready", flush=True)
while True:
    signal.pause()
"""

# Each child ends when the shell, which might still reap it, has executed another program.
CHILD = 'while [ "$(cat /proc/$PPID/comm)" != sleep ]; do sleep 0.05; done'
SHELL = f"child() {{ sh -c '{CHILD}' & }}; child; child; child; echo ready; exec sleep 1000"

C = """
#include <stdio.h>
#include <unistd.h>

int main(void) {
    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            _exit(0);
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}
"""

LEAKS = [["python3", "-c", PYTHON], ["python3", "-c", SUBPROCESS], ["sh", "-c", SHELL], ["/tmp/leak"]]
"""multiprocessing without join, subprocess without wait, a shell that executes a program, fork without waitpid."""


class Said(NamedTuple):
    """How a command ended, and its output."""

    status: int
    output: str


def ctl(container: Container, *words: str, **options: Any) -> Said:
    """Run pyinitctl in the container, as `docker exec` does."""
    status, output = container.exec_run(["pyinitctl", *words], **options)
    assert isinstance(output, bytes)
    return Said(int(status or 0), output.decode())


def zombies(container: Container) -> dict[str, Any]:
    """The output of `pyinitctl zombies --json`, without those that are about to be reaped: each is one for a moment."""
    told: dict[str, Any] = json.loads(ctl(container, "zombies", "--json").output)
    told["zombies"] = [one for one in told["zombies"] if one["kind"] != "reaping"]
    return told


@pytest.fixture(scope="session")
def leak_in_c(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in C, for any container."""
    return compile_c(C, tmp_path_factory.mktemp("c") / "leak")


@pytest.mark.each_base
def test_zombies_names_each_parent_that_does_not_reap_and_clear_ends_it(
    containers: Containers, leak_in_c: Path
) -> None:
    """With its pid, the number of zombies, and what to do. The first cure does not help here, but the second does.

    The workload, which sleeps beside the parents, runs on.
    """
    beside = "".join(f"{shlex.join(command)} &\n" for command in LEAKS)
    container = containers.start("sh", "-c", f"{beside}sleep 1000; exit", volumes=[f"{leak_in_c}:/tmp/leak:ro"])
    eventually(lambda: container.logs().decode(), holds=lambda said: said.count("ready\n") == len(LEAKS))
    told = eventually(lambda: zombies(container)["zombies"], holds=lambda seen: len(seen) == 3 * len(LEAKS))
    status, output = ctl(container, "zombies")
    total, *verdicts = output.splitlines()[-1 - len(LEAKS) :]
    assert (status, total) == (1, "12 zombies"), output
    for parent in {zombie["parent"] for zombie in told}:
        [verdict] = [line for line in verdicts if f" (pid {parent}) " in line]
        assert " has 3 children that it has not waited for, the oldest for " in verdict
        assert verdict.endswith(": it should call wait() or join(), or handle SIGCHLD")
    assert sorted(verdict.split()[0] for verdict in verdicts) == ["leak", "python3", "python3", "sleep"]

    assert ctl(container, "clear").status == 1
    assert len(zombies(container)["zombies"]) == 3 * len(LEAKS)
    eventually(lambda: ctl(container, "clear", "--terminate-parent"), holds=lambda done: done.status == 0)
    eventually(lambda: ctl(container, "zombies"), holds=lambda said: said == (0, "no zombies\n"))
    container.reload()
    assert container.status == "running"


def test_the_workload_is_not_ended_unless_it_is_named(containers: Containers) -> None:
    """The container would end with it."""
    container = containers.start("python3", "-c", PYTHON)
    await_output(container, "ready")
    eventually(lambda: len(zombies(container)["zombies"]), holds=lambda count: count == 3)
    assert ctl(container, "clear", "--terminate-parent").status == 1
    [parent] = {zombie["parent"] for zombie in zombies(container)["zombies"]}
    container.reload()
    assert container.status == "running"
    ctl(container, "clear", "--terminate-parent", "--pid", str(parent))
    assert ended(container).status == 143


@pytest.mark.each_base
def test_every_command_works_where_everything_is_locked_up(containers: Containers) -> None:
    """On a read-only root, without capabilities, as another user than root: it only needs the same uid."""
    container = containers.start_sleeper(**RESTRICTIONS["all of them"])
    await_counters(container)
    told = json.loads(ctl(container, "status", "--json").output)
    assert (told["workload"]["name"], told["stage"]) == ("sh", "running"), told
    assert ctl(container, "zombies") == (0, "no zombies\n")
    assert ctl(container, "clear").status == 0
    assert ctl(container, "health").status == 0
    assert "sleep 100" in ctl(container, "tree").output


@pytest.mark.each_base
def test_another_user_is_told_which_user_to_be(containers: Containers) -> None:
    """The counters are for the user of PID 1, and for root."""
    container = containers.start_sleeper()
    status, output = ctl(container, "status", user="1000")
    assert (status, output.count("\n")) == (3, 1)
    assert "pid 1 belongs to user 0:0 and pyinitctl runs as 1000:" in output and "docker exec -u 0:0" in output
    assert ctl(container, "zombies", user="1000") == (0, "no zombies\n")
    assert ctl(container, "health", user="1000").status == 1


@pytest.mark.each_base
def test_counters_include_orphans_and_signals(containers: Containers) -> None:
    """The signals come from the engine, which is outside."""
    program = "trap 'echo usr1' USR1; (sleep 0.01 &) ; (sleep 0.01 &); echo ready; while :; do sleep 0.05; done"
    container = containers.start("sh", "-c", program)
    await_output(container, "ready")
    await_counters(container)
    container.kill("SIGUSR1")
    await_output(container, "usr1")

    def look() -> dict[str, Any]:
        told: dict[str, Any] = json.loads(ctl(container, "status", "--json").output)
        return told

    told = eventually(look, holds=lambda told: told["orphans_reaped"] == 2 and told["signals_forwarded"])
    [signal] = told["signals_forwarded"]
    assert (signal["signal"], signal["count"], signal["sender_pid"]) == ("SIGUSR1", 1, 0)


HEALTHY = """
FROM {image}
HEALTHCHECK --interval=0.5s CMD ["pyinitctl", "health", "--max-zombies=2"]
"""


@pytest.fixture(scope="module")
def checked(engine: docker.DockerClient, image: Image) -> Iterator[Image]:
    """The image with a health check of its own."""
    with built(engine, HEALTHY.format(image=image.tags[0])) as own:
        yield own


def test_the_engine_sees_a_container_become_unhealthy(containers: Containers, checked: Image) -> None:
    """And shows the line that says why."""

    def health(container: Container) -> tuple[str, str]:
        container.reload()
        state = container.attrs["State"]["Health"]
        return state["Status"], state["Log"][-1]["Output"] if state["Log"] else ""

    good = containers.start("sleep", "1000", image=checked)
    bad = containers.start("python3", "-c", PYTHON, image=checked)
    eventually(lambda: health(good), holds=lambda seen: seen[0] == "healthy")
    _, line = eventually(lambda: health(bad), holds=lambda seen: seen[0] == "unhealthy" and "3 zombies" in seen[1])
    assert line.count("\n") <= 1, line
