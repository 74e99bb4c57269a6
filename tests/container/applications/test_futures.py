"""concurrent.futures: a worker that is killed during a job, and a stop during a job."""

from docker.models.containers import Container

from testing.containers import Containers, Process, await_output, ended, execute, processes, stopped
from testing.waiting import eventually

# A shell that keeps running after the program has exited.
MANAGER = 'python3 jobs.py 1000 1; echo "status: $?"; exec sleep 1000'


def start(containers: Containers, jobs: int, seconds: int, **environment: str) -> Container:
    """Start a container with so many jobs of `seconds` each, and wait until some have begun."""
    container = containers.start("python3", "jobs.py", str(jobs), str(seconds), environment=environment)
    await_begun(container)
    return container


def await_begun(container: Container) -> None:
    """Wait until both workers have got a job."""
    eventually(lambda: container.logs().decode(), holds=lambda said: said.count(": started\n") >= 2)


def test_program_whose_worker_is_killed_continues_with_a_new_pool(containers: Containers) -> None:
    """It completes every job once, and exits with 0. No zombie stays, and no worker of the old pool."""
    container = start(containers, 4, 20)
    _, program, *workers = processes(container)
    assert [worker.parent for worker in workers] == [program.pid] * 2
    execute(container, "sh", "-c", f"kill -KILL {workers[0].pid}")
    old = {worker.pid for worker in workers}
    seen = eventually(
        lambda: processes(container),
        holds=lambda seen: len(seen) == 4 and old.isdisjoint(process.pid for process in seen),
    )
    assert "Z" not in [process.state for process in seen], seen
    end = ended(container)
    assert (end.status, end.errors) == (0, "")
    assert end.output.count("a worker died: starting a new pool\n") == 1
    assert [end.output.count(f"job {number}: done\n") for number in range(4)] == [1] * 4, end


def test_running_jobs_finish_before_the_container_stops(containers: Containers) -> None:
    """No other job begins, and the status is the program's."""
    container = start(containers, 10, 20, PYINIT_STOP_TIMEOUT="100")
    end = stopped(container)
    assert (end.status, end.errors) == (0, "")
    assert sorted(end.output.splitlines()) == ["job 0: done", "job 0: started", "job 1: done", "job 1: started"]


def test_running_jobs_are_lost_if_every_process_gets_the_signal(containers: Containers) -> None:
    """Control for the test above: `docker stop` also reaches the workers, which have no handler."""
    container = start(containers, 10, 100, PYINIT_FORWARD_TO="group")
    end = stopped(container)
    assert (end.status, end.output.count(": done\n"), end.errors) == (0, 0, "")


def lose_program(containers: Containers, **environment: str) -> tuple[Container, list[Process]]:
    """Start a container, kill the program in it, and return the container and the program's workers."""
    container = containers.start("sh", "-c", MANAGER, environment=environment)
    await_begun(container)
    _, _, program, *workers = processes(container)
    assert [worker.parent for worker in workers] == [program.pid] * 2
    execute(container, "sh", "-c", f"kill -KILL {program.pid}")
    await_output(container, "status: 137\n")
    return container, workers


def test_workers_whose_main_process_was_killed_are_terminated(containers: Containers) -> None:
    """With --orphans=terminate, in a container that keeps running. No zombie stays."""
    container, _ = lose_program(containers, PYINIT_ORPHANS="terminate")
    eventually(
        lambda: [process.command for process in processes(container)[1:]], holds=lambda seen: seen == ["sleep 1000"]
    )


def test_workers_whose_main_process_was_killed_keep_running(containers: Containers) -> None:
    """Control for the test above: by default an orphan is kept. These wait for jobs that never arrive."""
    container, workers = lose_program(containers)
    pids = {worker.pid for worker in workers}
    # They sleep in futex(2) or read(2), when their last job has ended.
    seen = eventually(lambda: processes(container), holds=lambda seen: {process.parent for process in seen[1:]} == {1})
    assert {process.pid for process in seen[2:]} == pids
