"""The Python API where it is needed: in a container whose entrypoint is replaced, as by ``command:`` in a manifest."""

from collections.abc import Iterator

import docker
import pytest
from docker.models.images import Image

from testing import EXAMPLES
from testing.containers import Containers, await_output, printed, processes, stopped
from testing.waiting import eventually

from .conftest import Recipe

VARIABLES = {"PYTHONPATH": "/usr/local/lib/pyinit", "PYTHONUNBUFFERED": "1"}
READ_ONLY = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "user": "1000:1000"}
MOUNTED = {str(EXAMPLES / "api"): {"bind": "/api", "mode": "ro"}}


@pytest.fixture
def containers(engine: docker.DockerClient, pyinit_image: Image) -> Iterator[Containers]:
    """Makes containers of the image under test."""
    with Containers(engine, pyinit_image) as containers:
        yield containers


def test_an_application_leaves_pid_1_to_pyinit_with_minimal_rights(containers: Containers) -> None:
    """It is not root, and has a read-only root and no capabilities. The stop is graceful, and pyinitctl works."""
    container = containers.start(
        "script.py", entrypoint=["python3"], working_dir="/api", volumes=MOUNTED, environment=VARIABLES, **READ_ONLY
    )
    await_output(container, "working")
    eventually(
        lambda: container.exec_run(["pyinitctl", "health", "--max-zombies=0"]), holds=lambda done: done.exit_code == 0
    )
    assert "workload  script.py (pid " in printed(container, "pyinitctl", "status")
    done = stopped(container, timeout=10)
    assert (done.status, done.output, done.errors) == (0, "working\nfinished\n", "")


def test_gunicorn_leaves_pid_1_to_pyinit_in_its_configuration(engine: docker.DockerClient, recipe: Recipe) -> None:
    """gunicorn is the init's child. A reload, which reads the configuration again, changes nothing. The stop is
    graceful."""
    command = ["--config=/api/gunicorn.conf.py", "--worker-tmp-dir=/dev/shm", "hello_wsgi:app"]
    with Containers(engine, recipe("gunicorn")) as containers:
        container = containers.start(*command, entrypoint=["gunicorn"], volumes=MOUNTED, environment=VARIABLES)
        await_output(container, "Booting worker with pid")
        init, master, *workers = processes(container)
        assert (init.pid, master.parent) == (1, 1)
        assert "launcher.py" in init.command and "gunicorn" in master.command
        assert {worker.parent for worker in workers} == {master.pid}
        container.kill("HUP")
        await_output(container, "Hang up: Master")
        done = stopped(container)
        assert done.status == 0, done
        assert "Shutting down: Master" in done.errors
        assert "pyinit:" not in done.errors
