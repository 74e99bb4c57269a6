"""Containers of a real Docker engine, all of one image that contains the compared inits."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.models.containers import Container

from bench.contenders import REFERENCE
from testing.base_images import DEBIAN
from testing.containers import created
from testing.engine import connect
from testing.images import pyinit_on
from testing.waiting import Failed


@dataclass(frozen=True)
class Engine:
    """A Docker engine, and the tag of the image that has the inits in /usr/local/bin."""

    client: docker.DockerClient
    image: str

    def version(self) -> str:
        """The version that the engine reports."""
        return str(self.client.version()["Version"])

    @contextmanager
    def running(self, init: str, *workload: str) -> Iterator[Container]:
        """Yield a container with `init` as ENTRYPOINT once its workload has printed a line; remove it afterwards."""
        # init=False: an engine can be configured to add its own init.
        with created(self.client, self.image, *workload, entrypoint=[init, "--"], init=False) as container:
            container.start()
            with closing(container.logs(stderr=False, stream=True, follow=True)) as lines:
                if not next(lines, b""):
                    raise Failed(f"a container with {init} exited before its workload printed a line")
            yield container

    def end_of(self, container: Container, since: int) -> tuple[int, int]:
        """The exit status of a container that has exited, and the time of its exit, in nanoseconds since the epoch.

        The time comes from the engine's "die" event. `since`, in the same unit, must be before it.
        """
        filters = {"container": container.id, "event": "die"}
        seconds = since // 1_000_000_000
        with closing(self.client.events(since=seconds, filters=filters, decode=True)) as events:
            died = next(events)
        return int(died["Actor"]["Attributes"]["exitCode"]), int(died["timeNano"])


@contextmanager
def equip(folder: Path) -> Iterator[Engine]:
    """Yield the engine with an image of pyinit and the reference init, which is copied to `folder`.

    Raises Unavailable.
    """
    folder.mkdir()
    # Prefer the static one: the other may need another C library than the image has.
    shutil.copy(shutil.which(f"{REFERENCE}-static") or shutil.which(REFERENCE) or REFERENCE, folder / REFERENCE)
    with connect() as client, pyinit_on(client, DEBIAN, folder) as image:
        yield Engine(client, image.tags[0])
