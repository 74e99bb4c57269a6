"""concurrent.futures: a worker that is killed in mid-task, and a stop in mid-task."""

from docker.models.containers import Container

from testing.containers import Containers, Process, await_output, ended, execute, processes, stopped
from testing.waiting import eventually

# Goes on when the program has ended.
MANAGER = 'python3 jobs.py 100 1; echo "status: $?"; exec sleep 100'


def start(containers: Containers, seconds: int, **environment: str) -> Container:
    """A container with ten jobs, each of so many seconds, of which some have begun."""
    container = containers.start("python3", "jobs.py", "10", str(seconds), environment=environment)
    await_begun(container)
    return container


def await_begun(container: Container) -> None:
    """Return when both workers have had a job."""
    eventually(lambda: container.logs().decode(), holds=lambda said: said.count(": started\n") >= 2)


def test_program_whose_worker_is_killed_goes_on_with_a_new_pool(containers: Containers) -> None:
    """It does every job to its end, once, and exits with 0; no zombie stays, nor a worker of the old pool."""
    container = start(containers, 2)
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
    assert [end.output.count(f"job {number}: done\n") for number in range(10)] == [1] * 10, end


def test_jobs_that_run_finish_before_the_container_stops(containers: Containers) -> None:
    """No other one begins, and the status is the program's own."""
    container = start(containers, 4)
    end = stopped(container, timeout=30)
    assert (end.status, end.errors) == (0, "")
    assert sorted(end.output.splitlines()) == ["job 0: done", "job 0: started", "job 1: done", "job 1: started"]


def test_jobs_that_run_are_lost_where_every_process_gets_the_signal(containers: Containers) -> None:
    """The check of the test above: `docker stop` reaches the workers too, and they do not know of any handler."""
    container = start(containers, 100, PYINIT_FORWARD_TO="group")
    end = stopped(container, timeout=30)
    assert (end.status, end.output.count(": done\n"), end.errors) == (0, 0, "")


def lose_program(containers: Containers, **environment: str) -> tuple[Container, list[Process]]:
    """A container that has outlived the program, and the workers that there were."""
    container = containers.start("sh", "-c", MANAGER, environment=environment)
    await_begun(container)
    _, _, program, *workers = processes(container)
    assert [worker.parent for worker in workers] == [program.pid] * 2
    execute(container, "sh", "-c", f"kill -KILL {program.pid}")
    await_output(container, "status: 137\n")
    return container, workers


def test_workers_whose_main_process_was_killed_are_ended(containers: Containers) -> None:
    """With --orphans=terminate, in a container that lives on; no zombie stays."""
    container, _ = lose_program(containers, PYINIT_ORPHANS="terminate")
    eventually(
        lambda: [process.command for process in processes(container)[1:]], holds=lambda seen: seen == ["sleep 100"]
    )


def test_workers_whose_main_process_was_killed_live_on(containers: Containers) -> None:
    """The check of the test above: by default an orphan is kept, and these wait for jobs that nobody will give them."""
    container, workers = lose_program(containers)
    pids = {worker.pid for worker in workers}
    # Asleep in futex(2) or read(2): the job that a worker had has ended.
    seen = eventually(lambda: processes(container), holds=lambda seen: {process.parent for process in seen[1:]} == {1})
    assert {process.pid for process in seen[2:]} == pids
