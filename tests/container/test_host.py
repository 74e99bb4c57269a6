"""``pyinitctl zombies --host`` on the machine that the containers run on: which container each zombie is in."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from testing import ROOT
from testing.containers import Containers, await_output
from testing.processes import zombies
from testing.waiting import PATIENCE, eventually

LEAK = """
import signal, subprocess, sys
kept = [subprocess.Popen(["true"]) for _ in range(int(sys.argv[1]))]
print("ready", flush=True)
while True:
    signal.pause()
"""

# The inner shell exits at once, and its child dies as an orphan.
ORPHANS = "(sleep 0.1 &); (sleep 0.1 &); echo ready; exec sleep 1000"

PYTHONS = {"with the SDK": [sys.executable], "without the SDK": [sys.executable, "-S"]}
pythons = pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)


def look(python: list[str], *options: str) -> str:
    """The output of the command on the machine, which has zombies."""
    command = [*python, "-m", "pyinit.ctl", "zombies", "--host", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2 * PATIENCE)
    assert (done.returncode, done.stderr) == (1, ""), done
    return done.stdout


def called(container: Container, python: list[str]) -> str:
    """The name that the command should show for the container."""
    return f"docker {container.name if '-S' not in python else container.short_id}"


def await_zombies(parent: int, count: int) -> set[int]:
    """Wait until a process has `count` zombies; return their pids."""
    return eventually(lambda: {*zombies(parent)}, holds=lambda pids: len(pids) == count)


def start(containers: Containers, *command: str, **options: Any) -> Container:
    """A container that has said that it is ready, with its current state."""
    container = containers.start(*command, **options)
    await_output(container, "ready")
    container.reload()
    if not Path(f"/proc/{first_of(container)}").exists():
        pytest.skip("the engine runs on another machine")
    return container


def first_of(container: Container) -> int:
    """The pid of its PID 1 on the host."""
    return int(container.attrs["State"]["Pid"])


def leaking(containers: Containers, count: int) -> tuple[Container, int]:
    """A container whose workload has `count` zombies, and the workload's pid on the host."""
    container = start(containers, "python3", "-c", LEAK, str(count))
    listed = container.top(ps_args="-eo pid,ppid")["Processes"]
    [parent] = [int(pid) for pid, above in listed if int(above) == first_of(container)]
    return container, parent


@pytest.fixture
def neighbour() -> Iterator[int]:
    """The pid of a process of the host that has a zombie."""
    with subprocess.Popen([sys.executable, "-c", LEAK, "1"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.kill()


@pythons
def test_each_zombie_is_shown_with_its_container(containers: Containers, neighbour: int, python: list[str]) -> None:
    """With pids of the host. So is each process that has not waited. For the host itself the container is null."""
    first, second = leaking(containers, 3), leaking(containers, 2)
    expected = [
        (called(first[0], python), first[1], 3),
        (called(second[0], python), second[1], 2),
        (None, neighbour, 1),
    ]
    pids = {parent: await_zombies(parent, count) for _, parent, count in expected}
    seen = json.loads(look(python, "--json"))
    for container, parent, count in expected:
        found = [one for one in seen["zombies"] if one["parent"] == parent]
        assert {one["pid"] for one in found} == pids[parent]
        assert {one["container"] for one in found} == {container}
        [verdict] = [one for one in seen["verdicts"] if one["pid"] == parent]
        assert (verdict["container"], verdict["zombies"]) == (container, count)


@pythons
def test_the_text_says_where_the_zombies_are(containers: Containers, neighbour: int, python: list[str]) -> None:
    """A login message has only their number. The text has their containers and parents."""
    container, parent = leaking(containers, 3)
    name = called(container, python)
    pids = await_zombies(parent, 3)
    await_zombies(neighbour, 1)
    lines = look(python).splitlines()
    rows = [line for line in lines if f"  {name}  " in line]
    assert {int(row.split()[0]) for row in rows} == pids, lines
    [heading] = [line for line in lines if "zombie processes in " in line]
    assert heading.endswith(" and on the host")
    assert any(one.startswith(f"{name}: python3 -c ") and f"(pid {parent}) has 3 children" in one for one in lines)
    assert any(one.startswith("the host: ") and f"(pid {neighbour}) has 1 child" in one for one in lines)


def test_pid_1_of_a_container_is_recognized_from_outside(containers: Containers) -> None:
    """It has another pid there. The cure is still an init."""
    container = start(containers, "sh", "-c", ORPHANS, entrypoint=[])
    parent = first_of(container)
    await_zombies(parent, 2)
    verdicts: list[dict[str, Any]] = json.loads(look([sys.executable], "--json"))["verdicts"]
    [verdict] = [one for one in verdicts if one["pid"] == parent]
    assert verdict["container"] == f"docker {container.name}"
    assert "it is PID 1 of its container" in verdict["verdict"]


def test_an_engine_that_cannot_be_reached_is_not_an_error(
    containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id of the container is still shown."""
    container, parent = leaking(containers, 1)
    await_zombies(parent, 1)
    monkeypatch.setitem(os.environ, "DOCKER_HOST", "unix:///dev/null")
    [found] = [one for one in json.loads(look([sys.executable], "--json"))["zombies"] if one["parent"] == parent]
    assert found["container"] == f"docker {container.short_id}"
