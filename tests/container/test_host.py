"""``pyinitctl host`` and ``zombies --host`` on the machine that the containers run on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import docker
import psutil
import pytest
from docker.models.containers import Container

import pyinit
from testing import ROOT
from testing.containers import Containers, await_output
from testing.namespaces import INTERPRETER
from testing.podman import private_podman
from testing.processes import zombies
from testing.waiting import PATIENCE, eventually

LEAK = """
import signal, subprocess, sys
kept = [subprocess.Popen(["true"]) for _ in range(int(sys.argv[1]))]
print("ready", flush=True)
while True:
    signal.pause()
"""

# The inner shell exits at once, and its child dies as an orphan: after PID 1 has become a program that does not wait.
ORPHAN = "(sh -c 'until grep -q sleep /proc/1/comm; do sleep 0.05; done' &)"
ORPHANS = f"{ORPHAN}; {ORPHAN}; echo ready; exec sleep 1000"

PATIENT = f"""if True:
    from pyinit.ctl import __main__, containers
    containers._SECONDS = {PATIENCE}
    __main__.main()
"""
CTL = [sys.executable, "-S", "-c", PATIENT]
"""Without site, and so without any package: as the installed launcher. It waits for an engine on a loaded machine."""

OUT_OF_MEMORY = "python3 -c 'bytearray(1 << 28)'; echo ready; exec sleep 1000"


def look(*options: str) -> str:
    """What the command ``zombies --host`` says on the machine, where there are zombies."""
    done = subprocess.run(
        [*CTL, "zombies", "--host", *options], cwd=ROOT, capture_output=True, text=True, timeout=2 * PATIENCE
    )
    assert (done.returncode, done.stderr) == (1, ""), done
    return done.stdout


def host(*options: str) -> str:
    """What the command ``host`` says. (Some other pyinit on the machine may be one that it cannot read.)"""
    done = subprocess.run([*CTL, "host", *options], cwd=ROOT, capture_output=True, text=True, timeout=2 * PATIENCE)
    assert done.returncode == 0 and " names in " not in done.stderr, done
    return done.stdout


def told(container: Container, text: str | None = None) -> dict[str, Any]:
    """What ``host --json`` has on a container."""
    [found] = [one for one in json.loads(text or host("--json"))["containers"] if one["id"] == container.id]
    return dict(found)


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


def test_each_zombie_is_told_with_its_container(containers: Containers, neighbour: int) -> None:
    """With the pids of the host; so is each process that has not waited. On the host itself that is null."""
    first, second = leaking(containers, 3), leaking(containers, 2)
    expected = [
        (f"docker {first[0].name}", first[1], 3),
        (f"docker {second[0].name}", second[1], 2),
        (None, neighbour, 1),
    ]
    pids = {parent: await_zombies(parent, count) for _, parent, count in expected}
    seen = json.loads(look("--json"))
    for container, parent, count in expected:
        found = [one for one in seen["zombies"] if one["parent"] == parent]
        assert {one["pid"] for one in found} == pids[parent]
        assert {one["container"] for one in found} == {container}
        [verdict] = [one for one in seen["verdicts"] if one["pid"] == parent]
        assert (verdict["container"], verdict["zombies"]) == (container, count)


def test_the_text_answers_a_login_message(containers: Containers, neighbour: int) -> None:
    """There are so many zombie processes: where, and whose."""
    container, parent = leaking(containers, 3)
    name = f"docker {container.name}"
    pids = await_zombies(parent, 3)
    await_zombies(neighbour, 1)
    lines = look().splitlines()
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
    verdicts: list[dict[str, Any]] = json.loads(look("--json"))["verdicts"]
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
    [found] = [one for one in json.loads(look("--json"))["zombies"] if one["parent"] == parent]
    assert found["container"] == f"docker {container.short_id}"


def test_a_container_with_pyinit_is_listed_with_its_counters(
    engine: docker.DockerClient, containers: Containers
) -> None:
    """By the names that Docker has for it and its image, and by the pids of the host."""
    container, parent = leaking(containers, 3)
    await_zombies(parent, 3)
    found = eventually(lambda: told(container), holds=lambda found: found["zombies"] == 3 and found["stage"])
    assert (found["engine"], found["name"], found["pid"]) == ("docker", container.name, first_of(container))
    assert found["image"] == engine.api.containers(filters={"id": container.id})[0]["Image"]
    assert (found["has_pyinit"], found["version"], found["stage"]) == (True, pyinit.__version__, "running")
    assert (found["workload"][:6], found["orphans_reaped"], found["oom_kills"]) == ("python", 0, 0)
    [whose] = found["parents"]
    assert (whose["pid"], whose["zombies"]) == (parent, 3)
    [line] = [line for line in host().splitlines() if line.startswith(f"docker {container.name} ")]
    assert f" {pyinit.__version__} " in line and line.endswith(f"3 of {whose['name']} (pid {parent})")


def test_a_container_without_pyinit_is_listed_with_its_zombies(containers: Containers) -> None:
    """So one sees where it is missing."""
    container = start(containers, "sh", "-c", ORPHANS, entrypoint=[])
    await_zombies(first_of(container), 2)
    found = eventually(
        lambda: told(container), holds=lambda found: (found["zombies"], found["workload"]) == (2, "sleep")
    )
    assert (found["name"], found["has_pyinit"], found["version"]) == (container.name, False, None)
    assert (found["stage"], found["orphans_reaped"]) == (None, None)
    [line] = [line for line in host().splitlines() if line.startswith(f"docker {container.name} ")]
    assert " none " in line and line.endswith(f"2 of sleep (pid {first_of(container)})")


def test_a_pyinit_below_another_init_is_found(containers: Containers) -> None:
    """It is not the first process of the container then."""
    container = start(containers, "sh", "-c", "echo ready; exec sleep 1000", init=True)
    found = eventually(lambda: told(container), holds=lambda found: found["stage"])
    assert (found["workload"], found["pid"] != first_of(container)) == ("sh", True)


def test_kills_when_out_of_memory_are_counted(containers: Containers) -> None:
    """From the cgroup of the container, also without pyinit."""
    limits = {"mem_limit": "64m", "memswap_limit": "64m"}
    entrypoints: list[list[str] | None] = [None, []]
    for entrypoint in entrypoints:
        container = start(containers, "sh", "-c", OUT_OF_MEMORY, entrypoint=entrypoint, **limits)
        assert told(container)["oom_kills"] == 1


def test_a_pid_namespace_in_a_container_belongs_to_it(containers: Containers) -> None:
    """As that of a browser's sandbox; so do its zombies."""
    nested = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", ORPHANS]
    container = start(containers, *nested, privileged=True)
    eventually(
        lambda: [(one["name"], one["zombies"]) for one in told(container)["parents"]],
        holds=lambda parents: parents == [("sleep", 2)],
    )


def test_a_zombie_of_docker_exec_is_in_its_container(engine: docker.DockerClient, containers: Containers) -> None:
    """Its parent is the shim, outside. Here it is one only for as long as that is stopped."""
    container = start(containers, "sh", "-c", "echo ready; exec sleep 1000")
    shim = int(Path(f"/proc/{first_of(container)}/stat").read_text().rpartition(")")[2].split()[1])
    engine.api.exec_start(engine.api.exec_create(container.id, ["sleep", "1000"])["Id"], detach=True)
    children = psutil.Process(shim).children
    [pid] = eventually(lambda: [one.pid for one in children() if one.pid != first_of(container)])
    os.kill(shim, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        found = eventually(lambda: told(container), holds=lambda found: found["zombies"] == 1)
        assert [one["pid"] for one in found["parents"]] == [shim]
    finally:
        os.kill(shim, signal.SIGCONT)


def test_the_metrics_have_the_name_and_the_image(
    engine: docker.DockerClient, containers: Containers, tmp_path: Path
) -> None:
    """In the file for the textfile collector."""
    container, parent = leaking(containers, 2)
    await_zombies(parent, 2)
    eventually(lambda: told(container)["stage"], "the counters are published")
    file = tmp_path / "pyinit.prom"
    assert host("--prometheus", f"--output={file}") == ""
    image = engine.api.containers(filters={"id": container.id})[0]["Image"]
    lines = file.read_text().splitlines()
    assert f'pyinit_zombies{{container="{container.name}",image="{image}"}} 2' in lines
    assert f'pyinit_up{{container="{container.name}",image="{image}"}} 1' in lines


def test_a_user_without_rights_sees_what_it_may(containers: Containers) -> None:
    """Containers by their ids, with their zombies; one line says what is missing, and the status is 0."""
    container, parent = leaking(containers, 2)
    await_zombies(parent, 2)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        ignored = shutil.ignore_patterns("__pycache__", "compiled.*.zip", ".compiled.*")
        shutil.copytree(ROOT / "pyinit", f"{folder}/pyinit", ignore=ignored)
        command = [*("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", INTERPRETER), *CTL[1:]]
        command += ["host", "--json"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=2 * PATIENCE)
    assert done.returncode == 0
    found = told(container, done.stdout)
    assert (found["engine"], found["name"], found["zombies"]) == ("docker", container.short_id, 2)
    assert (found["has_pyinit"], found["version"], found["oom_kills"]) == (None, None, 0)
    [line] = done.stderr.splitlines()
    assert line.startswith("pyinitctl: not visible to uid 65534: ")
    assert " whether " in line
    assert f" names in {os.environ.get('DOCKER_HOST', 'unix:///var/run/docker.sock').removeprefix('unix://')}" in line


def test_podman_names_its_containers(engine: docker.DockerClient, base: str, tmp_path: Path) -> None:
    """It listens at a socket, too, and speaks Docker's protocol."""
    with private_podman() as podman:
        image = podman.load(engine, base)
        number = podman("run", "--detach", "--network=none", "--name=web", image, "sleep", "1000").strip()
        try:
            with podman.service(tmp_path / "socket") as address, patch.dict(os.environ, DOCKER_HOST=address):
                [found] = eventually(
                    lambda: [one for one in json.loads(host("--json"))["containers"] if one["id"] == number],
                    holds=lambda seen: [one["workload"] for one in seen] == ["sleep"],
                )
        finally:
            podman("rm", "--force", "--time=0", number)
        assert (found["engine"], found["name"]) == ("podman", "web")
        assert base in found["image"]
