"""multiprocessing: a pool that is stopped, one whose main process is killed, and one that is never joined."""

import re
from typing import Any

import pytest
from docker.models.containers import Container

from testing.containers import Containers, await_output, ended, execute, processes, stopped
from testing.waiting import eventually

methods = pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])

# A shell that keeps running after the program has exited.
MANAGER = 'python3 pool.py "$1"; echo "status: $?"; exec sleep 1000'

# The workers exit, and the program waits for them only after USR1.
NEVER_JOINED = """
import multiprocessing, signal
pool = multiprocessing.get_context("fork").Pool(2)
pool.close()
signal.signal(signal.SIGUSR1, lambda *_: pool.join())
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def memory(containers: Containers) -> Container:
    """A container that shares its /dev/shm with others, and outlives them."""
    return containers.start_sleeper(ipc_mode="shareable")


def blocks(container: Container) -> list[str]:
    """The shared memory blocks, and with `forkserver` and `spawn` also the semaphores of the pool."""
    return execute(container, "ls", "/dev/shm").split()


def start(containers: Containers, memory: Container, *command: str, **options: Any) -> Container:
    """Start a container that uses the shared memory of `memory`, and wait until its pool works."""
    container = containers.start(*command, ipc_mode=f"container:{memory.id}", **options)
    await_output(container, "task: started\n")
    assert blocks(memory)
    return container


def kill_program(container: Container, program: str) -> None:
    """Kill the oldest process that runs this command."""
    pid = next(process.pid for process in processes(container)[1:] if process.command == program)
    status, output = container.exec_run(["sh", "-c", f"kill -KILL {pid}"])
    # If that ends the container, the shell may get TERM or KILL before it has exited.
    assert status in (0, 143, 137), (status, output)


@methods
def test_pool_finishes_its_tasks_when_the_container_stops(
    containers: Containers, memory: Container, method: str
) -> None:
    """There is no zombie while it runs. Every task that was begun finishes, and the status is the program's."""
    container = start(containers, memory, "python3", "pool.py", method)
    assert "Z" not in [process.state for process in processes(container)]
    end = stopped(container)
    assert (end.status, end.errors) == (0, "")
    assert end.output.count("task: started\n") == end.output.count("task: done, 0\n") > 0, end
    assert blocks(memory) == []


@methods
def test_shared_memory_of_a_killed_program_is_released(containers: Containers, memory: Container, method: str) -> None:
    """Its workers exit on TERM, and then its resource tracker has time to clean up."""
    container = start(containers, memory, "python3", "pool.py", method, environment={"PYINIT_DRAIN_TIMEOUT": "60"})
    kill_program(container, f"python3 pool.py {method}")
    end = ended(container)
    assert end.status == 137, end
    assert "resource_tracker: There appear to be " in end.errors, end
    assert "was killed by SIGKILL" in end.errors and re.search(r"stragglers? killed", end.errors) is None, end
    assert blocks(memory) == []


def test_shared_memory_of_a_killed_program_stays_without_a_drain(containers: Containers, memory: Container) -> None:
    """Control for the test above: without a drain, as under other inits, the kernel kills the tracker, too."""
    container = start(containers, memory, "python3", "pool.py", "fork", environment={"PYINIT_DRAIN_TIMEOUT": "0"})
    kill_program(container, "python3 pool.py fork")
    assert ended(container).status == 137
    assert len(blocks(memory)) == 1


@methods
def test_no_process_of_a_killed_program_stays(containers: Containers, memory: Container, method: str) -> None:
    """If the container keeps running, the workers and the tracker exit by themselves, and pyinit reaps them."""
    container = start(containers, memory, "sh", "-c", MANAGER, "sh", method)
    kill_program(container, f"python3 pool.py {method}")
    await_output(container, "status: 137\n")
    eventually(
        lambda: [process.command for process in processes(container)[1:]], holds=lambda seen: seen == ["sleep 1000"]
    )
    assert blocks(memory) == []


def test_processes_of_a_killed_program_stay_zombies_without_an_init(containers: Containers, memory: Container) -> None:
    """Control for the test above: they are two workers and the tracker."""
    container = start(containers, memory, "sh", "-c", MANAGER, "sh", "fork", entrypoint=[])
    kill_program(container, "python3 pool.py fork")
    await_output(container, "status: 137\n")
    eventually(
        lambda: [process.state for process in processes(container)[1:]], holds=lambda states: states == ["Z"] * 3
    )


def test_pool_without_join_leaves_zombies_and_their_parent_is_named(containers: Containers) -> None:
    """Only the program can reap them, with `join()`."""
    container = containers.start("python3", "-c", NEVER_JOINED)
    await_output(container, "ready")
    eventually(
        lambda: [process.state for process in processes(container)[2:]], holds=lambda states: states == ["Z"] * 2
    )
    status, output = container.exec_run(["pyinitctl", "zombies"])
    [parent] = {process.parent for process in processes(container)[2:]}
    assert status == 1 and isinstance(output, bytes)
    assert f" (pid {parent}) has 2 children that it has not waited for, " in output.decode(), output
    assert output.decode().endswith(": it should call wait() or join(), or handle SIGCHLD\n"), output
    container.kill("USR1")
    eventually(lambda: processes(container), holds=lambda seen: len(seen) == 2)
