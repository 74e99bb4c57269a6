"""The end of a container that has gone, as docs/log.md finds it again in journald."""

import re
import subprocess

import docker

from testing import ROOT
from testing.base_images import SLIM
from testing.commands import commands
from testing.containers import created
from testing.images import pyinit_on
from testing.waiting import PATIENCE, eventually
from tests.container.conftest import engine  # noqa: F401

TRIED = [line for line in commands(ROOT / "docs" / "log.md") if line.startswith(("systemd-cat ", "journalctl "))]


def found(command: str) -> str:
    """What journalctl(1) finds, once it finds something."""
    return eventually(lambda: subprocess.run(["sh", "-c", command], capture_output=True, text=True).stdout)


def test_the_page_finds_the_end_of_what_systemd_cat_runs(launcher: str) -> None:
    """With its own two commands."""
    [run, find] = TRIED
    run = run.replace("pyinit ", f"{launcher} ").replace("PROGRAM", "sh -c 'kill -KILL $$'")
    done = subprocess.run(["sh", "-c", run], capture_output=True, timeout=PATIENCE)
    assert done.returncode == 137, done
    assert '"killed_by": "SIGKILL"' in found(find)


def test_the_page_finds_the_end_of_a_container(engine: docker.DockerClient) -> None:  # noqa: F811
    """By its name, with Docker's driver for journald; the container has been removed by then."""
    name = "app"
    [find] = [line for line in TRIED if line.startswith("journalctl ")]
    find = re.sub(r"--identifier=\w+", f"CONTAINER_NAME={name}", find)
    with pyinit_on(engine, SLIM) as image:
        settings = {"PYINIT_LOG_FORMAT": "json"}
        log = docker.types.LogConfig(type="journald")
        with created(
            engine, image, "sh", "-c", "kill -KILL $$", name=name, environment=settings, log_config=log
        ) as container:
            container.start()
            assert container.wait(timeout=PATIENCE)["StatusCode"] == 137
    assert '"killed_by": "SIGKILL"' in found(find)
