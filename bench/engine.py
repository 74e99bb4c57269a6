"""Containers of a real Docker engine, all of one image that has the inits that are compared in it."""

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
    """A Docker engine, and the tag of the image whose /usr/local/bin has the inits."""

    client: docker.DockerClient
    image: str

    def version(self) -> str:
        """What the engine says it is."""
        return str(self.client.version()["Version"])

    @contextmanager
    def running(self, init: str, *workload: str) -> Iterator[Container]:
        """A container with `init` as its ENTRYPOINT, of whose workload the first line has come; removed afterwards."""
        # An engine may be set to put an init of its own before ours.
        with created(self.client, self.image, *workload, entrypoint=[init, "--"], init=False) as container:
            container.start()
            with closing(container.logs(stderr=False, stream=True, follow=True)) as lines:
                if not next(lines, b""):
                    raise Failed(f"a container with {init} ended before its workload said a word")
            yield container

    def end_of(self, container: Container, since: int) -> tuple[int, int]:
        """The exit status of a container that has ended, and when, in nanoseconds since the epoch.

        The time is that of the engine's "die" event; `since`, in the same unit, shall lie before it.
        """
        filters = {"container": container.id, "event": "die"}
        seconds = since // 1_000_000_000
        with closing(self.client.events(since=seconds, filters=filters, decode=True)) as events:
            died = next(events)
        return int(died["Actor"]["Attributes"]["exitCode"]), int(died["timeNano"])


@contextmanager
def equip(folder: Path) -> Iterator[Engine]:
    """The engine with an image of pyinit and its reference, as long as the context lasts; `folder` is for the latter.

    Raises Unavailable.
    """
    folder.mkdir()
    # The static one where there is one: the C library that the other was linked with need not be that of the image.
    shutil.copy(shutil.which(f"{REFERENCE}-static") or shutil.which(REFERENCE) or REFERENCE, folder / REFERENCE)
    with connect() as client, pyinit_on(client, DEBIAN, folder) as image:
        yield Engine(client, image.tags[0])
