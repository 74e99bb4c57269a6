"""Celery prefork with a Redis broker: a stopped worker finishes its tasks, in the foreground and in the background."""

import json
import re
from typing import Any

import pytest
from docker.errors import NotFound
from docker.models.containers import Container

from testing.containers import Containers, await_output, execute, printed, processes, read_file, stopped
from testing.waiting import eventually

TASKS = 60

# Arguments: the name of the task, the number of tasks, and the seconds that each may take.
SEND = """
import sys, tasks
name, count, seconds = sys.argv[1:]
for number in range(int(count)):
    getattr(tasks, name).delay(number, float(seconds))
"""

# Waits inside the container, where polling is cheap: a worker needs all processor time while it starts.
# Arguments: the name of a list, and its required length.
WAIT = 'until [ "$(redis-cli LLEN "$0")" -ge "$1" ]; do sleep 0.1; done'
SECONDS_TO_WAIT = 200  # less than the timeout of the engine's client

FOREGROUND = ("celery", "--app=tasks", "worker", "--concurrency=2")
DETACHED = ("celery", "--app=tasks", "worker", "--concurrency=2", "--detach", "--logfile=celery.log")
WITH_TAIL = ("sh", "-c", '"$@" && exec tail -F celery.log', "sh", *DETACHED)
SEVERAL = ("./several",)
BEAT_PID = "/home/worker/beat.pid"

LONG = {"PYINIT_DRAIN_TIMEOUT": "200"}
"""Longer than the grace period of the stop."""


class Broker:
    """A Redis server, and the data that the tasks have written to it."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self.container = containers.start("redis-server", "--save", "")
        await_output(self.container, "Ready to accept connections")

    def start_worker(self, *command: str, **options: Any) -> Container:
        """Start a container in the broker's network; the default command is the image's."""
        return self._containers.start(*command, network_mode=f"container:{self.container.id}", **options)

    def send(self, name: str, count: int, seconds: float) -> None:
        """Queue tasks, numbered from 0."""
        execute(self.container, "python3", "-c", SEND, name, str(count), str(seconds))

    def ask(self, *command: str) -> Any:
        """The answer to a Redis command that changes nothing."""
        return json.loads(printed(self.container, "redis-cli", "--json", *command))

    def diary(self, name: str) -> list[int]:
        """The numbers of the tasks in the list `begun` or `finished`, oldest first."""
        return [int(line) for line in self.ask("LRANGE", name, "0", "-1")]

    def await_diary(self, name: str, count: int) -> None:
        """Wait until this many tasks are in the list `begun` or `finished`."""
        execute(self.container, "timeout", str(SECONDS_TO_WAIT), "sh", "-c", WAIT, name, str(count))

    def hurry(self, count: int) -> None:
        """Let this many tasks finish now."""
        execute(self.container, "redis-cli", "RPUSH", "hurry", *["now"] * count)

    def results(self) -> list[int]:
        """The results that Celery has stored for successful tasks."""
        keys = self.ask("KEYS", "celery-task-meta-*")
        recorded = [json.loads(line) for line in self.ask("MGET", *keys)] if keys else []
        return sorted(result["result"] for result in recorded if result["status"] == "SUCCESS")

    def queued(self) -> int:
        """The number of tasks in the queue."""
        return int(self.ask("LLEN", "celery"))

    def fetched(self) -> int:
        """The number of tasks that a worker has fetched and not acknowledged, even if the worker has died."""
        return int(self.ask("HLEN", "unacked"))


@pytest.fixture
def broker(containers: Containers) -> Broker:
    """A broker with an empty queue."""
    return Broker(containers)


def assert_nothing_is_lost(broker: Broker) -> None:
    """Every task that was begun has finished. The next worker does the others. Each task is done once."""
    begun = broker.diary("begun")
    assert sorted(begun) == sorted(broker.diary("finished")) == broker.results()
    assert broker.queued() == TASKS - len(begun) > 0
    broker.hurry(TASKS)
    broker.start_worker()
    broker.await_diary("finished", TASKS)
    every = list(range(TASKS))
    eventually(broker.results, holds=lambda results: results == every)
    assert sorted(broker.diary("begun")) == sorted(broker.diary("finished")) == every
    eventually(lambda: (broker.queued(), broker.fetched()), holds=lambda left: left == (0, 0))


def test_stopped_worker_finishes_its_tasks(broker: Broker) -> None:
    """This is Celery's warm shutdown. Queued tasks stay in the queue for the next worker. The status is 0."""
    broker.send("work", TASKS, 1.5)
    worker = broker.start_worker()
    broker.await_diary("begun", 2)
    end = stopped(worker)
    assert end.status == 0 and "pyinit:" not in end.errors, end
    assert_nothing_is_lost(broker)


@pytest.mark.parametrize(
    ("command", "environment", "status"),
    [
        pytest.param(WITH_TAIL, LONG, 143, id="with tail as main process"),
        pytest.param(DETACHED, {"PYINIT_WAIT_FOR": "all"}, 0, id="without a main process"),
    ],
)
def test_detached_worker_finishes_its_tasks(
    broker: Broker, command: tuple[str, ...], environment: dict[str, str], status: int
) -> None:
    """pyinit sends TERM to the worker, not to its pool, after the main process has exited, whose status it returns."""
    broker.send("work", TASKS, 1.5)
    worker = broker.start_worker(*command, environment=environment)
    broker.await_diary("begun", 2)
    end = stopped(worker)
    assert (end.status, "pyinit:" in end.errors) == (status, False), end
    assert_nothing_is_lost(broker)


def test_two_workers_and_a_beat_of_one_script_finish_their_tasks(broker: Broker) -> None:
    """TERM kills the shell at once. Then pyinit sends it to both workers and the beat, and the beat cleans up."""
    several = broker.start_worker(*SEVERAL, environment=LONG)
    eventually(
        lambda: several.logs().decode(),
        holds=lambda said: said.count(" ready.\n") == 2 and "beat: Starting..." in said,
        patience=SECONDS_TO_WAIT,
    )
    broker.send("work", TASKS, 1.5)
    broker.await_diary("begun", 2)
    end = stopped(several)
    assert (end.status, "pyinit:" in end.errors) == (143, False), end
    with pytest.raises(NotFound):
        read_file(several, BEAT_PID)
    assert_nothing_is_lost(broker)


@pytest.mark.parametrize("command", [WITH_TAIL, SEVERAL], ids=["with tail as main process", "several in a script"])
def test_tini_loses_running_tasks(broker: Broker, command: tuple[str, ...], under_tini: dict[str, Any]) -> None:
    """Control for the tests above: the kernel kills the workers, and Redis still counts their tasks as fetched."""
    broker.send("work", TASKS, 100)
    worker = broker.start_worker(*command, **under_tini)
    broker.await_diary("begun", 2)
    assert stopped(worker).status == 143
    assert (len(broker.diary("begun")), broker.diary("finished")) == (2, [])
    assert broker.fetched() > 0


def test_tini_leaves_the_pid_file_of_a_beat(broker: Broker, under_tini: dict[str, Any]) -> None:
    """After a restart of the container, the beat would take any other process with that pid for a running beat."""
    several = broker.start_worker(*SEVERAL, **under_tini)
    await_output(several, "beat: Starting...", SECONDS_TO_WAIT)
    assert stopped(several).status == 143
    assert int(read_file(several, BEAT_PID)) > 1


def test_pool_that_gets_term_loses_its_tasks(broker: Broker) -> None:
    """If Celery's pool gets the signal that is meant for the worker, the tasks fail at once."""
    broker.send("work", 6, 100)
    worker = broker.start_worker(*FOREGROUND, environment={"PYINIT_FORWARD_TO": "group"})
    broker.await_diary("begun", 2)
    stopped(worker)
    assert (len(broker.diary("begun")), broker.diary("finished"), broker.queued()) == (2, [], 4)


def test_task_of_a_killed_process_is_done_again(broker: Broker) -> None:
    """With acks_late and reject_on_worker_lost. The worker replaces the process, and no zombie stays."""
    worker = broker.start_worker(*FOREGROUND[:-1], "--concurrency=1")
    broker.send("careful_work", 1, 100)
    broker.await_diary("begun", 1)
    _, main, child = processes(worker)
    assert child.parent == main.pid
    execute(worker, "sh", "-c", f"kill -KILL {child.pid}")
    broker.await_diary("begun", 2)
    left = processes(worker)
    assert [process.parent for process in left] == [0, 1, main.pid] and left[2].pid != child.pid, left
    assert "Z" not in {process.state for process in left}, left
    broker.hurry(1)
    eventually(broker.results, holds=lambda results: results == [0])
    assert (broker.diary("begun"), broker.diary("finished")) == ([0, 0], [0])


def test_worker_that_does_not_end_in_time_is_killed(broker: Broker) -> None:
    """The stop timeout kills the worker and its pool, and a log line says so."""
    broker.send("work", 2, 100)
    worker = broker.start_worker(environment={"PYINIT_STOP_TIMEOUT": "2"})
    broker.await_diary("begun", 2)
    end = stopped(worker)
    assert (end.status, broker.diary("finished")) == (137, []), end
    line = (
        r"pyinit: celery \(pid \d+\) was killed by SIGKILL .*: it did not exit within \d+\.\ds of SIGTERM from outside "
    )
    assert re.search(line, end.errors), end


def test_worker_puts_back_tasks_that_take_too_long(broker: Broker) -> None:
    """QUIT in place of TERM starts Celery's soft shutdown, which has its own time limit."""
    broker.send("careful_work", 6, 100)
    worker = broker.start_worker(environment={"PYINIT_REWRITE": "TERM:QUIT"})
    broker.await_diary("begun", 2)
    end = stopped(worker)
    assert end.status == 0 and "pyinit:" not in end.errors, end
    assert (len(broker.diary("begun")), broker.diary("finished"), broker.queued()) == (2, [], 6)
