"""uvicorn, as one process and with workers: graceful stop and its status, reload, lost workers."""

from typing import Any

import pytest
from docker.models.containers import Container

from testing import EXAMPLES
from testing.containers import Containers, ended, execute, processes, read_file, stopped
from testing.waiting import eventually

from .web import PUBLISHED, await_reaped_orphan, begin, health, master_of, port_of, rest_of, write_file

RECIPE = EXAMPLES / "recipes" / "uvicorn"

ONE = {"WEB_CONCURRENCY": "1"}
# The parent process takes a worker that is slow to start on a busy machine for a dead one.
TWO = {"WEB_CONCURRENCY": "2", "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "20"}
AS_IT_IS = {"PYINIT_REMAP_EXIT": ""}

BEHIND_TEE = (
    *("sh", "-c"),
    "uvicorn hello_asgi:app --host=0.0.0.0 --timeout-graceful-shutdown=8 2>&1 | tee /tmp/log",
)
with_one_and_two = pytest.mark.parametrize("environment", [ONE, TWO], ids=["one process", "workers"])


def await_serving(container: Container, number: int) -> None:
    """Return when so many processes have said that they serve."""
    serves = "Application startup complete."
    eventually(lambda: container.logs().decode(), holds=lambda said: said.count(serves) == number)


def start(containers: Containers, environment: dict[str, str], *command: str, **options: Any) -> Container:
    """A uvicorn that serves; the command is that of the image if there is none."""
    container = containers.start(*command, environment=environment, **PUBLISHED, **options)
    await_serving(container, int(environment["WEB_CONCURRENCY"]))
    return container


def workers_of(container: Container) -> set[int]:
    """The workers that are there; a zombie is none."""
    return {process.pid for process in processes(container) if "spawn_main" in process.command}


@pytest.mark.parametrize(
    ("environment", "stop_signal", "status"),
    [
        (ONE | AS_IT_IS, "SIGTERM", 143),
        (ONE | AS_IT_IS, "SIGINT", 0),
        (ONE, "SIGTERM", 0),
        (TWO | AS_IT_IS, "SIGTERM", 0),
        (TWO | AS_IT_IS, "SIGINT", 0),
    ],
    ids=["TERM", "INT", "TERM with --remap-exit=143", "TERM with workers", "INT with workers"],
)
def test_docker_stop_lets_a_request_finish(
    containers: Containers, environment: dict[str, str], stop_signal: str, status: int
) -> None:
    """It is answered whole. One process ends by the SIGTERM that it was sent: 143, or what that is mapped to."""
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
    """The shell dies of the TERM at once. uvicorn alone is asked then, and tee writes down the rest."""
    container = start(containers, environment | {"PYINIT_DRAIN_TIMEOUT": "20"}, *BEHIND_TEE)
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
    """The check of the test above: the end of the shell is the end of the container, and uvicorn never hears of it."""
    container = start(containers, environment, *BEHIND_TEE, **under_tini)
    answer = begin(port_of(container), 20)
    container.stop(timeout=30)
    assert rest_of(answer).startswith("cut off: ")
    end = ended(container)
    assert end.status == 143 and "Shutting down" not in end.output, end


def test_reload_on_hup_lets_a_request_finish(containers: Containers) -> None:
    """New workers have the new code; the old ones finish, and leave no zombies."""
    container = start(containers, TWO)
    before = {process.pid for process in processes(container)}
    old = workers_of(container)
    slow = begin(port_of(container), 2)
    write_file(container, "/srv", "hello_asgi.py", (RECIPE / "hello_asgi.py").read_text().replace("goodbye", "see you"))
    container.kill("HUP")
    new = eventually(lambda: workers_of(container), holds=lambda workers: len(workers) == 2 and not workers & old)
    assert slow.read() == b"goodbye\n"
    assert begin(port_of(container)).read() == b"see you\n"
    assert {process.pid for process in processes(container)} == before - old | new
    assert stopped(container, timeout=30).status == 0


def test_hup_ends_one_process(containers: Containers) -> None:
    """It is a reload for the parent of workers only: 129 is the status of who does not handle it."""
    container = start(containers, ONE)
    container.kill("HUP")
    assert ended(container).status == 129


def test_killed_worker_is_replaced(containers: Containers) -> None:
    """And leaves no zombie."""
    # The parent process waits so long for the answer of a worker that is killed just when it has been asked.
    container = start(containers, TWO | {"UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "8"})
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
    """One process ends in 3, the parent of workers in 0: uvicorn's own statuses, to which pyinit adds nothing."""
    end = containers.run("uvicorn", f"--workers={workers}", "nowhere:app")
    assert end.status == status, end
    assert 'Could not import module "nowhere"' in end.errors and "pyinit: " not in end.errors, end


@with_one_and_two
def test_container_may_be_locked_up(containers: Containers, environment: dict[str, str]) -> None:
    """Another user than root, a read-only root and no capability: it serves, is healthy, and nothing complains."""
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
    end = stopped(container, timeout=30)
    assert end.status == 0, end
    assert [word for word in ("pyinit: ", "WARNING", "ERROR", "Error") if word in end.errors] == [], end
