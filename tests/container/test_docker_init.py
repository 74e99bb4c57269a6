"""`docker run --init` with pyinit as the daemon's init, for containers that have Python at the same path."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest

from testing import ROOT
from testing.containers import Containers, execute, processes
from testing.engine import SECONDS_TO_ANSWER, private_engine
from testing.waiting import PATIENCE, eventually

each_base = pytest.mark.each_base


def install(engine: docker.DockerClient, base: str, path: Path) -> Path:
    """Have the Python of a base image write pyinit in a single file at `path`, which it returns."""
    command = ["python3", "-m", "pyinit.ctl", "install", "--single-file", f"/out/{path.name}"]
    volumes = [f"{ROOT}:/pyinit:ro", f"{path.parent}:/out"]
    engine.containers.run(base, command, working_dir="/pyinit", volumes=volumes, network_mode="none", remove=True)
    return path


@pytest.fixture(scope="module")
def daemon(
    engine: docker.DockerClient, base: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[docker.DockerClient]:
    """An engine whose init is pyinit in a single file, made by the Python of the base image; with that image."""
    init = install(engine, base, tmp_path_factory.mktemp("init-path") / "docker-init")
    with (
        private_engine(f"--init-path={init}") as host,
        closing(docker.DockerClient(host, timeout=SECONDS_TO_ANSWER)) as client,
    ):
        [image] = client.images.load(b"".join(engine.images.get(base).save(named=True)))
        assert base in image.tags
        yield client


@pytest.fixture
def plain(daemon: docker.DockerClient, base: str) -> Iterator[Containers]:
    """Makes containers of the base image, which has no pyinit, with ``--init``."""
    with Containers(daemon, daemon.images.get(base)) as containers:
        yield containers


def test_the_daemon_accepts_it(daemon: docker.DockerClient) -> None:
    """The daemon runs ``docker-init --version`` and parses it; docker info and docker version show the result."""
    [component] = [found for found in daemon.version()["Components"] if found["Name"] == "docker-init"]
    assert component["Version"].startswith("0.19.0 (pyinit ")
    assert component["Details"]["GitCommit"] == daemon.info()["InitCommit"]["ID"] == "pyinit"


@each_base
def test_it_is_the_init_of_an_image_without_pyinit(plain: Containers) -> None:
    """It reaps, forwards, and exits with the status of the workload. Like tini, it writes nothing."""
    container = plain.start("sh", "-c", "trap 'exit 7' TERM; (sleep 100 &); while :; do sleep 0.05; done", init=True)
    orphans = eventually(lambda: [process for process in processes(container) if process.command == "sleep 100"])
    assert re.match(r"\S*python3\S* -ISBXutf8 /sbin/docker-init -- sh -c ", processes(container)[0].command)
    [orphan] = orphans
    execute(container, "sh", "-c", f"kill {orphan.pid}")
    eventually(
        lambda: [process.pid for process in processes(container)],
        "it is reaped",
        holds=lambda pids: orphan.pid not in pids,
    )
    container.kill("SIGTERM")
    assert container.wait(timeout=PATIENCE)["StatusCode"] == 7
    assert container.logs() == b""


@each_base
def test_a_program_that_does_not_exist(plain: Containers) -> None:
    """The status is tini's, the message is pyinit's."""
    done = plain.run("no-such-program", init=True)
    assert done.status == 127
    assert re.fullmatch(r"pyinit: cannot find 'no-such-program' in PATH \(\S+\)\n", done.errors), done
