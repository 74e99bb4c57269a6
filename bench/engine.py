"""Containers of a real Docker engine, all of one image that has the inits that are compared in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.container import Failed
from bench.contenders import PACKAGE, REFERENCE, Unavailable

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

BASE_IMAGE = "pyinit-base:debian"
"""As tools.base_images makes it."""
HINT = "'make bench' sees to it"


@contextmanager
def connect() -> Iterator[docker.DockerClient]:
    """The engine of DOCKER_HOST, which has the base image.

    Raises Unavailable.
    """
    try:
        import docker  # here, so that an interpreter without it gets to the line below
    except ImportError as error:
        raise Unavailable(f"this Python lacks the package docker: {HINT}") from error
    with ExitStack() as stack:
        try:
            client = stack.enter_context(closing(docker.from_env()))
            client.images.get(BASE_IMAGE)
        except docker.errors.ImageNotFound as error:
            raise Unavailable(f"the Docker engine has no image {BASE_IMAGE}: {HINT}") from error
        except (docker.errors.DockerException, OSError) as error:
            raise Unavailable(f"no Docker engine answers: {HINT}") from error
        yield client


@contextmanager
def _told_as(kind: type[Unavailable | Failed], attempt: str) -> Iterator[None]:
    """What the engine refuses is told in one line, as that kind of exception."""
    from docker.errors import DockerException

    try:
        yield
    except (DockerException, OSError) as error:  # OSError: what requests raises, and the SDK lets through
        raise kind(f"{attempt}: {error}") from error


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
        with _told_as(Failed, f"a container with {init}"):
            container = self.client.containers.create(
                self.image,
                list(workload),
                entrypoint=[init, "--"],
                init=False,  # an engine may be set to put an init of its own before ours
            )
            try:
                container.start()
                with closing(container.logs(stderr=False, stream=True, follow=True)) as lines:
                    if not next(lines, b""):
                        raise Failed(f"a container with {init} ended before its workload said a word")
                yield container
            finally:
                container.remove(force=True, v=True)

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
def equip(client: docker.DockerClient, folder: Path) -> Iterator[Engine]:
    """The engine with an image of pyinit and its reference, as long as the context lasts; `folder` is to build in.

    It is the image of the project's Dockerfile, and one binary more. Raises Unavailable.
    """
    folder.mkdir()
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    # The static one where there is one: the C library that the other was linked with need not be that of the image.
    shutil.copy(shutil.which(f"{REFERENCE}-static") or shutil.which(REFERENCE) or REFERENCE, folder / REFERENCE)
    dockerfile = (PACKAGE.parent / "Dockerfile").read_text()
    (folder / "Dockerfile").write_text(f"{dockerfile}COPY {REFERENCE} /usr/local/bin/\n")
    tag = f"pyinit-bench-{os.getpid()}"
    with _told_as(Unavailable, "cannot build an image in the Docker engine"):
        client.images.build(path=str(folder), buildargs={"BASE_IMAGE": BASE_IMAGE}, tag=tag, rm=True, forcerm=True)
    try:
        yield Engine(client, tag)
    finally:
        client.images.remove(tag, force=True)
