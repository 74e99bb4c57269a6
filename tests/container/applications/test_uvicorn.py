"""uvicorn, as one process and with workers: graceful stop and its status, reload, and killed workers."""

from typing import Any

import pytest
from docker.models.containers import Container

from testing import EXAMPLES
from testing.containers import Containers, ended, execute, processes, read_file, stopped
from testing.waiting import eventually

from .web import PUBLISHED, await_reaped_orphan, begin, health, master_of, port_of, rest_of, write_file

RECIPE = EXAMPLES / "recipes" / "uvicorn"

ONE = {"WEB_CONCURRENCY": "1"}
# With the default, the parent process takes a worker for dead if it starts slowly on a busy machine.
TWO = {"WEB_CONCURRENCY": "2", "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "100"}
NO_REMAPPING = {"PYINIT_REMAP_EXIT": ""}

THROUGH_TEE = (
    *("sh", "-c"),
    "uvicorn hello_asgi:app --host=0.0.0.0 --timeout-graceful-shutdown=8 2>&1 | tee /tmp/log",
)
with_one_and_two = pytest.mark.parametrize("environment", [ONE, TWO], ids=["one process", "workers"])


def await_serving(container: Container, number: int) -> None:
    """Wait until this many processes have logged that they serve."""
    serves = "Application startup complete."
    eventually(lambda: container.logs().decode(), holds=lambda said: said.count(serves) == number)


def start(containers: Containers, environment: dict[str, str], *command: str, **options: Any) -> Container:
    """Start uvicorn, and wait until it serves; the default command is the image's."""
    container = containers.start(*command, environment=environment, **PUBLISHED, **options)
    await_serving(container, int(environment["WEB_CONCURRENCY"]))
    return container


def workers_of(container: Container) -> set[int]:
    """The pids of the workers, without zombies."""
    return {process.pid for process in processes(container) if "spawn_main" in process.command}


@pytest.mark.parametrize(
    ("environment", "stop_signal", "status"),
    [
        (ONE | NO_REMAPPING, "SIGTERM", 143),
        (ONE | NO_REMAPPING, "SIGINT", 0),
        (ONE, "SIGTERM", 0),
        (TWO | NO_REMAPPING, "SIGTERM", 0),
        (TWO | NO_REMAPPING, "SIGINT", 0),
    ],
    ids=["TERM", "INT", "TERM with --remap-exit=143", "TERM with workers", "INT with workers"],
)
def test_docker_stop_lets_a_request_finish(
    containers: Containers, environment: dict[str, str], stop_signal: str, status: int
) -> None:
    """The answer is complete. A single process is killed by SIGTERM: the status is 143, or the remapped one."""
    container = start(containers, environment, stop_signal=stop_signal)
    await_reaped_orphan(container)
    answer = begin(port_of(container), 2)
    container.stop(timeout=30)
    assert answer.read() == b"goodbye\n"
    end = ended(container)
    assert end.status == status, end
    assert "pyinit: " not in end.errors, end


@with_one_and_two
def test_docker_stop_lets_a_request_finish_where_the_log_goes_through_tee(
    containers: Containers, environment: dict[str, str]
) -> None:
    """TERM kills the shell at once. Then pyinit sends TERM only to uvicorn, and tee writes the rest of the log."""
    container = start(containers, environment | {"PYINIT_DRAIN_TIMEOUT": "20"}, *THROUGH_TEE)
    answer = begin(port_of(container), 2)
    container.stop(timeout=30)
    rest, end = rest_of(answer), ended(container)
    assert rest == "goodbye\n", (rest, end)
    assert (end.status, end.errors) == (0, ""), end
    assert "Application shutdown complete." in end.output, end
    assert read_file(container, "/tmp/log") == end.output


@with_one_and_two
def test_tini_cuts_off_a_request_where_the_log_goes_through_tee(
    containers: Containers, environment: dict[str, str], under_tini: dict[str, Any]
) -> None:
    """Control for the test above: the container ends with the shell, and uvicorn never gets a signal."""
    container = start(containers, environment, *THROUGH_TEE, **under_tini)
    answer = begin(port_of(container), 20)
    container.stop(timeout=30)
    assert rest_of(answer).startswith("cut off: ")
    end = ended(container)
    assert end.status == 143 and "Shutting down" not in end.output, end


def test_reload_on_hup_lets_a_request_finish(containers: Containers) -> None:
    """New workers have the new code. The old ones finish, and leave no zombies."""
    container = start(containers, TWO)
    before = {process.pid for process in processes(container)}
    old = workers_of(container)
    slow = begin(port_of(container), 2)
    write_file(container, "/srv", "hello_asgi.py", (RECIPE / "hello_asgi.py").read_text().replace("goodbye", "see you"))
    container.kill("HUP")
    new = eventually(lambda: workers_of(container), holds=lambda workers: len(workers) == 2 and not workers & old)
    assert slow.read() == b"goodbye\n"
    assert begin(port_of(container)).read() == b"see you\n"
    eventually(lambda: {process.pid for process in processes(container)}, holds=lambda pids: pids == before - old | new)
    assert stopped(container).status == 0


def test_hup_kills_a_single_process(containers: Containers) -> None:
    """Only the parent of workers handles HUP as a reload. 129 is the status of a process that HUP killed."""
    container = start(containers, ONE)
    container.kill("HUP")
    assert ended(container).status == 129


def test_killed_worker_is_replaced(containers: Containers) -> None:
    """It leaves no zombie."""
    # If a worker is killed during a health check, the parent process waits this long for its answer.
    container = start(containers, TWO | {"UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "40"})
    before = {process.pid for process in processes(container)}
    victim, other = sorted(workers_of(container))
    execute(container, "sh", "-c", f"kill -KILL {victim}")
    await_serving(container, 3)
    [new] = workers_of(container) - {other}
    assert {process.pid for process in processes(container)} == before - {victim} | {new}
    assert master_of(container) in before
    assert begin(port_of(container)).read() == b"goodbye\n"


@pytest.mark.parametrize(("workers", "status"), [(1, 3), (2, 0)])
def test_application_that_cannot_be_imported(containers: Containers, workers: int, status: int) -> None:
    """A single process exits with 3, the parent of workers with 0. Both are uvicorn's statuses, and pyinit logs
    nothing."""
    end = containers.run("uvicorn", f"--workers={workers}", "--timeout-worker-healthcheck=30", "nowhere:app")
    assert end.status == status, end
    assert 'Could not import module "nowhere"' in end.errors and "pyinit: " not in end.errors, end


@with_one_and_two
def test_uvicorn_works_in_a_locked_down_container(containers: Containers, environment: dict[str, str]) -> None:
    """Without root, with a read-only root and without capabilities, it serves, is healthy, and logs no warning."""
    container = start(
        containers,
        environment,
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        healthcheck={"interval": 10**9},  # in nanoseconds; the command is the image's
    )
    assert begin(port_of(container)).read() == b"goodbye\n"
    eventually(lambda: health(container), holds=lambda health: health == "healthy")
    end = stopped(container)
    assert end.status == 0, end
    assert [word for word in ("pyinit: ", "WARNING", "ERROR", "Error") if word in end.errors] == [], end
