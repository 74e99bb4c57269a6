"""Lines of Dockerfiles on pages of the documentation that no other test builds: see testing.blocks."""

import docker
from docker.models.containers import Container
from docker.models.images import Image

from testing import ROOT
from testing.blocks import block
from testing.containers import Containers, await_output
from testing.images import built
from testing.waiting import eventually

LEAKS = """
import os, signal
def leak(*_):
    for _ in range(101):
        if os.fork() == 0:
            os._exit(0)
signal.signal(signal.SIGUSR1, leak)
print("ready", flush=True)
while True:
    signal.pause()
"""


def health(container: Container) -> str:
    """As `docker ps` shows it."""
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])


def test_the_health_check_allows_a_hundred_zombies(
    engine: docker.DockerClient, containers: Containers, image: Image
) -> None:
    """It is run more often here than by default, and one failure is enough. (It may fail until pyinit has started.)"""
    often = {"interval": 10**9, "retries": 1}
    shown = block(ROOT / "docs" / "pyinitctl.md", "HEALTHCHECK")
    with built(engine, f"FROM {image.tags[0]}\n{shown}") as checked, containers:
        container = containers.start("python3", "-c", LEAKS, image=checked, healthcheck=often)
        await_output(container, "ready")
        eventually(lambda: health(container), holds=lambda status: status == "healthy")
        container.kill("USR1")
        eventually(lambda: health(container), holds=lambda status: status == "unhealthy")
        assert "101 zombies" in container.attrs["State"]["Health"]["Log"][-1]["Output"]


def test_the_link_named_tini_behaves_like_tini(
    engine: docker.DockerClient, containers: Containers, image: Image
) -> None:
    """It runs a program; and after bad usage its exit status is tini's, not 125."""
    shown = block(ROOT / "docs" / "migrating.md", "RUN ln -s pyinit")
    with built(engine, f"FROM {image.tags[0]}\n{shown}") as linked, containers:
        commands = (["--", "sh", "-c", "exit 3"], ["--no-such-option"])
        assert [containers.run(*it, image=linked, entrypoint=["tini"]).status for it in commands] == [3, 1]
