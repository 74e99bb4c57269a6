"""Services of compose files: the leaky one of compose.yaml with and without pyinit, and those that pages show."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen
from uuid import uuid4

import docker
import pytest
from docker.models.containers import Container
from docker.models.images import Image

from testing import ROOT, compose
from testing.blocks import block
from testing.containers import ended, printed, processes
from testing.engine import picking_addresses
from testing.images import built
from testing.waiting import PATIENCE, eventually

REQUESTS = 10


class Project:
    """A compose project, up: that of this repository, or of another folder with a compose.yaml."""

    def __init__(self, engine: docker.DockerClient, base: str, folder: Path = ROOT) -> None:
        self._engine = engine
        self._folder = folder
        self._name = f"pyinit-test-{uuid4().hex[:8]}"
        # Port 0: any free port.
        self._environment = {**os.environ, "BASE_IMAGE": base, "WEB_PORT": "0", "NO_INIT_PORT": "0"}

    def compose(self, *arguments: str) -> str:
        """Run compose on the project; return its output."""
        command = [*compose.provide(), "--project-name", self._name, "--profile", "no-init", *arguments]
        done = subprocess.run(command, cwd=self._folder, env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, service: str, path: str) -> str:
        """The service's answer, once it answers."""
        address = self.compose("port", service, "8000").strip()

        def answer() -> str:
            try:
                # The service has done what it was asked for, even if its answer would come too late.
                with urlopen(f"http://{address}{path}", timeout=PATIENCE) as response:
                    return str(response.read().decode())
            except OSError as error:
                return f"{error}"

        return eventually(answer, holds=lambda text: text.startswith(("done", "  PID")))

    def container(self, service: str) -> Container:
        """The service's container."""
        return self._engine.containers.get(self.compose("ps", "--quiet", service).strip())


@pytest.fixture(scope="module")
def project(engine: docker.DockerClient, base: str) -> Iterator[Project]:
    """Both services up, each asked a few times."""
    with running(Project(engine, base)) as project:
        for service in ("web", "web-no-init"):
            for _ in range(REQUESTS):
                assert "orphan" in project.ask(service, "/")
        yield project


@contextmanager
def running(project: Project) -> Iterator[Project]:
    """The project is up as long as the context lasts, and is then removed."""
    try:
        with picking_addresses():
            project.compose("up", "--detach", "--build")
        yield project
    finally:
        project.compose("down", "--rmi", "local", "--volumes", "--timeout", "0")


def test_service_under_pyinit_has_no_zombies(project: Project) -> None:
    """When the orphans have died, only PID 1 and the service are left."""
    seen = eventually(lambda: processes(project.container("web")), holds=lambda seen: len(seen) == 2)
    assert "pyinit" in seen[0].command


def test_service_is_healthy(project: Project) -> None:
    """By its health check, which is pyinitctl."""

    def health() -> str:
        return str(project.container("web").attrs["State"]["Health"]["Status"])

    eventually(health, holds=lambda status: status == "healthy")


def assert_has_only_the_rights_that_it_needs(container: Container) -> None:
    """By those of PID 1: it is not root and cannot become root, and files of the image cannot be changed."""
    init = dict(line.split(":\t", 1) for line in printed(container, "cat", "/proc/1/status").splitlines())
    assert (init["Uid"].split(), init["Gid"].split()) == (["1000"] * 4, ["1000"] * 4)
    assert {name: int(init[name], 16) for name in ("CapBnd", "CapPrm", "NoNewPrivs")} == {
        "CapBnd": 0,
        "CapPrm": 0,
        "NoNewPrivs": 1,
    }
    assert "Read-only file system" in printed(container, "sh", "-c", "! touch /tmp/file 2>&1")


def test_service_has_only_the_rights_that_it_needs(project: Project) -> None:
    """As compose.yaml says."""
    assert_has_only_the_rights_that_it_needs(project.container("web"))


def test_timeouts_fit_into_the_grace_period(project: Project) -> None:
    """By docs/shutdown.md: the grace period must be two seconds longer than both timeouts of pyinit together."""
    container = project.container("web")
    timeouts = [printed(container, "printenv", f"PYINIT_{name}_TIMEOUT") for name in ("STOP", "DRAIN")]
    assert container.attrs["Config"].get("StopTimeout", 0) > sum(map(float, timeouts)) + 2


def test_service_without_an_init_has_a_zombie_for_each_request(project: Project) -> None:
    """The service is PID 1 itself, and knows nothing of the orphans that it inherits."""
    eventually(
        lambda: processes(project.container("web-no-init")),
        holds=lambda seen: [process.state for process in seen[1:]] == ["Z"] * REQUESTS,
    )


@pytest.mark.parametrize(("service", "zombies"), [("web", 0), ("web-no-init", REQUESTS)])
def test_service_lists_its_processes_itself(project: Project, service: str, zombies: int) -> None:
    """For images without `ps`: a browser shows the difference."""
    eventually(lambda: project.ask(service, "/processes"), holds=lambda text: text.count("<defunct>") == zombies)


def test_lister_runs_in_the_service(project: Project) -> None:
    """By the command that compose.yaml shows."""
    eventually(
        lambda: project.compose("exec", "-T", "web-no-init", "python3", "ps.py"),
        holds=lambda text: text.count("[sleep] <defunct>") == REQUESTS,
    )


def test_stop_ends_the_service_by_term(engine: docker.DockerClient, base: str) -> None:
    """Long before the end of the grace period of 10 seconds, which would give 137."""
    with running(Project(engine, base)) as project:
        container = project.container("web")
        project.ask("web", "/")
        project.compose("stop", "web")
        assert ended(container).status == 143


def test_the_service_of_the_readme_runs_under_pyinit(
    engine: docker.DockerClient, base: str, image: Image, tmp_path: Path
) -> None:
    """Of an image that has pyinit, but neither the ENTRYPOINT nor a CMD that works."""
    (tmp_path / "compose.yaml").write_text(block(ROOT / "README.md", "build: ."))
    (tmp_path / "Dockerfile").write_text(f'FROM {image.tags[0]}\nCOPY app.py .\nENTRYPOINT []\nCMD ["false"]\n')
    (tmp_path / "app.py").write_text("import time\ntime.sleep(1000)\n")
    with running(Project(engine, base, tmp_path)) as project:
        container = project.container("app")
        seen = eventually(lambda: processes(container), holds=lambda seen: seen[-1].command == "python3 app.py")
    assert [process.parent for process in seen] == [0, 1], seen
    assert seen[0].command.endswith(" /usr/local/bin/pyinit -- python3 app.py"), seen


def test_the_service_of_the_page_on_security_has_no_more_rights_than_that(
    engine: docker.DockerClient, base: str, image: Image, tmp_path: Path
) -> None:
    """And no more processes than the page allows."""
    shown = block(ROOT / "docs" / "security.md", "cap_drop")
    with built(engine, f'FROM {image.tags[0]}\nCMD ["sleep", "1000"]\n') as app:
        (tmp_path / "compose.yaml").write_text(shown.replace("image: app ", f"image: {app.tags[0]} "))
        with running(Project(engine, base, tmp_path)) as project:
            container = project.container("app")
            assert_has_only_the_rights_that_it_needs(container)
            assert container.attrs["HostConfig"]["PidsLimit"] == 200
