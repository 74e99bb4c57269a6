"""gunicorn: graceful stop and reload, more and fewer workers, killed workers, and a new master."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from threading import Event, Thread
from typing import Any

import docker
import pytest
import yaml
from docker.models.containers import Container

from testing import EXAMPLES, ROOT
from testing.blocks import block
from testing.containers import Containers, await_output, ended, execute, printed, processes, read_file, stopped
from testing.images import built
from testing.waiting import eventually

from .conftest import Recipe
from .web import PUBLISHED, await_reaped_orphan, begin, health, master_of, port_of, rest_of, write_file

RECIPE = EXAMPLES / "recipes" / "gunicorn"
THROUGH_TEE = ("sh", "-c", "gunicorn hello_wsgi:app 2>&1 | tee /tmp/log")
SECONDS_BETWEEN_REQUESTS = 0.02

# `cat` may fail while gunicorn renames the file.
SHOW_PIDS = "cat /dev/shm/*.pid* 2>/dev/null || :"

# TTIN starts a worker and TTOU stops one, if they reach gunicorn unchanged.
WITH_TTIN_AND_TTOU: dict[str, dict[str, Any]] = {
    "without a terminal": {},
    "with a terminal": {"tty": True},
    "in a session": {"environment": {"PYINIT_SESSION": "1", "PYINIT_REWRITE": "TTIN:TTIN,TTOU:TTOU"}},
}

with_each_worker_class = pytest.mark.parametrize("worker_class", ["sync", "gthread"])


@contextmanager
def load(port: int) -> Iterator[list[str]]:
    """Send one request after the other inside the ``with`` block; yield the list of results."""
    answers: list[str] = []
    is_over = Event()

    def ask() -> None:
        while not is_over.wait(SECONDS_BETWEEN_REQUESTS):
            try:
                answers.append(begin(port).read().decode())
            except (OSError, HTTPException, AssertionError) as error:
                answers.append(f"lost: {error!r}")

    thread = Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        is_over.set()
        thread.join()


def await_serving(container: Container, number: int) -> None:
    """Wait until this many workers have logged that they serve."""
    eventually(lambda: container.logs().decode(), holds=lambda said: len(re.findall(r"Serving \(pid", said)) == number)


def start(containers: Containers, worker_class: str = "sync", *command: str, **options: Any) -> Container:
    """Start gunicorn, and wait until its two workers serve; the default command is the image's."""
    arguments = {"GUNICORN_CMD_ARGS": f"--worker-class={worker_class} --threads={1 if worker_class == 'sync' else 4}"}
    environment = arguments | options.pop("environment", {})
    container = containers.start(*command, environment=environment, **PUBLISHED, **options)
    await_serving(container, 2)
    assert f"Using worker: {worker_class}" in container.logs().decode()
    return container


def state_of(container: Container, pid: int) -> str:
    """The state of a process, as a letter."""
    [state] = [process.state for process in processes(container) if process.pid == pid]
    return state


def workers_of(container: Container, master: int) -> set[int]:
    """The pids of the workers, without zombies."""
    return {process.pid for process in processes(container) if process.parent == master and process.state != "Z"}


@with_each_worker_class
def test_docker_stop_lets_a_request_finish(containers: Containers, worker_class: str) -> None:
    """The answer is complete, the status is 0, and pyinit logs nothing. There was no zombie before the stop."""
    container = start(containers, worker_class)
    await_reaped_orphan(container)
    answer = begin(port_of(container), 2)
    container.stop(timeout=30)
    assert answer.read() == b"goodbye\n"
    end = ended(container)
    assert end.status == 0, end
    assert "pyinit: " not in end.errors, end


@with_each_worker_class
def test_docker_stop_lets_a_request_finish_where_the_log_goes_through_tee(
    containers: Containers, worker_class: str
) -> None:
    """TERM kills the shell at once. Then pyinit sends TERM only to the master, and tee writes the rest of the log."""
    container = start(containers, worker_class, *THROUGH_TEE, environment={"PYINIT_DRAIN_TIMEOUT": "20"})
    answer = begin(port_of(container), 2)
    container.stop(timeout=30)
    rest, end = rest_of(answer), ended(container)
    assert rest == "goodbye\n", (rest, end)
    assert (end.status, end.errors) == (143, ""), end
    assert "Handling signal: term" in end.output and end.output.endswith("Shutting down: Master\n"), end
    assert read_file(container, "/tmp/log") == end.output


@with_each_worker_class
def test_tini_cuts_off_a_request_where_the_log_goes_through_tee(
    containers: Containers, worker_class: str, under_tini: dict[str, Any]
) -> None:
    """Control for the test above: the container ends with the shell, and gunicorn never gets a signal."""
    container = start(containers, worker_class, *THROUGH_TEE, **under_tini)
    answer = begin(port_of(container), 20)
    container.stop(timeout=30)
    assert rest_of(answer).startswith("cut off: ")
    end = ended(container)
    assert end.status == 143 and "Handling signal" not in end.output, end


@with_each_worker_class
def test_reload_on_hup_loses_no_request(containers: Containers, worker_class: str) -> None:
    """New workers have the new configuration and the new code. The old ones finish, and leave no zombies."""
    container = start(containers, worker_class)
    master = master_of(container)
    old = workers_of(container, master)
    slow = begin(port_of(container), 2)
    configuration = (RECIPE / "gunicorn.conf.py").read_text()
    code = (RECIPE / "hello_wsgi.py").read_text()
    write_file(container, "/srv", "gunicorn.conf.py", configuration.replace("workers = 2", "workers = 3"))
    write_file(container, "/srv", "hello_wsgi.py", code.replace("goodbye", "see you"))
    with load(port_of(container)) as answers:
        container.kill("HUP")
        new = eventually(
            lambda: workers_of(container, master), holds=lambda workers: len(workers) == 3 and not workers & old
        )
        eventually(lambda: answers, holds=lambda answers: "see you\n" in answers)
    assert slow.read() == b"goodbye\n"
    assert set(answers) <= {"goodbye\n", "see you\n"}
    assert master_of(container) == master
    eventually(lambda: {process.pid for process in processes(container)}, holds=lambda seen: seen == {1, master, *new})
    await_serving(container, 5)
    assert stopped(container).status == 0


@pytest.mark.parametrize("options", WITH_TTIN_AND_TTOU.values(), ids=WITH_TTIN_AND_TTOU)
def test_ttin_adds_a_worker_and_ttou_removes_one(containers: Containers, options: dict[str, Any]) -> None:
    """Both signals reach gunicorn unchanged, even with a terminal, where they have another meaning."""
    container = start(containers, **options)
    master = master_of(container)
    old = workers_of(container, master)
    container.kill("TTIN")
    await_serving(container, 3)
    more = eventually(lambda: workers_of(container, master), holds=lambda workers: len(workers) == 3)
    assert old < more
    container.kill("TTOU")
    eventually(lambda: processes(container), holds=lambda seen: len(seen) == 4)  # pyinit, the master, two workers
    assert workers_of(container, master) < more


def test_ttin_stops_gunicorn_in_a_session_unless_it_is_rewritten(containers: Containers) -> None:
    """In a session it is delivered as SIGSTOP, as dumb-init does. The health check reports it, and SIGCONT continues
    gunicorn."""
    container = start(containers, environment={"PYINIT_SESSION": "1"})
    master = master_of(container)
    container.kill("TTIN")
    eventually(lambda: state_of(container, master), holds=lambda state: state == "T")
    status, line = container.exec_run(["pyinitctl", "health"])
    assert (status, line) == (1, f"unhealthy: gunicorn (pid {master}) is stopped\n".encode())
    container.kill("CONT")
    end = stopped(container)
    assert end.status == 0, end
    assert "Handling signal: term" in end.errors and "signal: ttin" not in end.errors, end


@with_each_worker_class
def test_killed_worker_is_replaced(containers: Containers, worker_class: str) -> None:
    """It leaves no zombie."""
    container = start(containers, worker_class)
    master = master_of(container)
    victim, other = sorted(workers_of(container, master))
    execute(container, "sh", "-c", f"kill -KILL {victim}")
    await_serving(container, 3)
    seen = eventually(lambda: {process.pid for process in processes(container)}, holds=lambda seen: victim not in seen)
    assert len(seen) == 4 and other in seen, seen
    assert begin(port_of(container)).read() == b"goodbye\n"


def test_new_master_takes_over_from_the_old_one(containers: Containers) -> None:
    """This is gunicorn's upgrade on USR2. No request is lost, the container keeps running, and `docker stop` is still
    graceful."""
    container = start(containers, environment={"PYINIT_WAIT_FOR": "all"})
    old = master_of(container)
    slow = begin(port_of(container), 2)
    with load(port_of(container)) as answers:
        container.kill("USR2")
        await_serving(container, 4)
        execute(container, "sh", "-c", 'kill -TERM "$(cat /dev/shm/gunicorn.pid)"')
        seen = eventually(lambda: processes(container), holds=lambda seen: old not in {process.pid for process in seen})
    assert slow.read() == b"goodbye\n"
    assert set(answers) == {"goodbye\n"}
    new = master_of(container)
    assert {process.pid for process in seen} == {1, new, *workers_of(container, new)}
    assert "healthy: " in printed(container, "pyinitctl", "health")
    # The new master takes over the pid file when it sees that the old one has exited.
    await_output(container, "Master has been promoted.")
    eventually(lambda: execute(container, "sh", "-c", SHOW_PIDS), holds=lambda pids: pids == f"{new}\n")
    execute(container, "sh", "-c", 'kill -HUP "$(cat /dev/shm/gunicorn.pid)"')
    await_serving(container, 6)
    answer = begin(port_of(container), 2)
    container.stop(timeout=30)
    assert answer.read() == b"goodbye\n"
    end = ended(container)
    assert end.status == 0, end
    assert "pyinit: " not in end.errors, end


def test_application_that_cannot_be_imported_exits_with_3(containers: Containers) -> None:
    """3 is gunicorn's status. pyinit adds a line only with --exit-report=always."""
    command = ("gunicorn", "--workers=1", "nowhere:app")
    end = containers.run(*command)
    assert end.status == 3, end
    assert "No module named 'nowhere'" in end.errors and "pyinit: " not in end.errors, end
    end = containers.run(*command, environment={"PYINIT_EXIT_REPORT": "always"})
    assert end.status == 3, end
    [line] = re.findall(r"^pyinit: .*", end.errors, re.MULTILINE)
    assert re.match(r"pyinit: gunicorn \(pid \d+\) exited with 3 after ", line), end


def test_gunicorn_works_in_a_locked_down_container(containers: Containers) -> None:
    """Without root, with a read-only root and without capabilities, it serves, is healthy, and logs no warning."""
    interval = {"interval": 10**9}  # in nanoseconds; the command is the image's
    container = start(
        containers, read_only=True, cap_drop=["ALL"], security_opt=["no-new-privileges"], healthcheck=interval
    )
    assert begin(port_of(container)).read() == b"goodbye\n"
    eventually(lambda: health(container), holds=lambda health: health == "healthy")
    end = stopped(container)
    assert end.status == 0, end
    assert re.findall(r"pyinit: |WARNING|ERROR|Error", end.errors) == [], end


def test_each_way_to_start_it_that_a_page_shows(
    engine: docker.DockerClient, recipe: Recipe, containers: Containers
) -> None:
    """By the image, by either field of a Kubernetes manifest, and by a program in Python."""
    kubernetes, python = ROOT / "docs" / "kubernetes.md", ROOT / "docs" / "python.md"
    image = block(ROOT / "README.md", 'CMD ["gunicorn", "app:app"]')
    assert image == block(ROOT / "docs" / "index.md", 'CMD ["gunicorn", "app:app"]')
    manifest = yaml.safe_load(block(kubernetes, 'args: ["gunicorn", "app:app"]'))
    program = "import pyinit\n" + block(python, 'pyinit.run(["gunicorn"')
    lines = (
        f"FROM {recipe('gunicorn').tags[0]}\nCOPY hello_wsgi.py app.py\n",
        'ENTRYPOINT ["false"]\n',
        block(python, "ENV PYTHONPATH"),
        image,
    )
    with built(engine, "".join(lines), RECIPE) as own, containers:
        started = [
            containers.start(image=own),
            containers.start(*manifest["args"], image=own),
            containers.start(image=own, entrypoint=manifest["command"]),
            containers.start("-c", program, image=own, entrypoint=["python3"]),
        ]
        for container in started:
            await_serving(container, 2)
        inits = [processes(container)[0].command for container in started]
    assert all(command.endswith("/pyinit -- gunicorn app:app") for command in inits[:3]), inits
    assert inits[3].endswith("/launcher.py --drain-timeout=10 -- gunicorn app:app"), inits
