"""Images that are there for a while."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
from docker.models.images import Image

from testing import ROOT


@contextmanager
def built(
    client: docker.DockerClient, dockerfile: str = "", folder: Path | None = None, **options: Any
) -> Iterator[Image]:
    """An image, as long as the context lasts: made of the text of a Dockerfile, or of the one in a folder.

    With both, `folder` is what that text can copy from. `options` are those of the SDK's `images.build`.
    """
    tag = f"pyinit-test-{uuid4().hex[:12]}:built"  # not "latest", which orchestrators pull
    with tempfile.TemporaryDirectory() as scratch:
        if dockerfile:
            written = Path(scratch, "Dockerfile")
            written.write_text(dockerfile)
            options["dockerfile"] = str(written)
        image, _ = client.images.build(path=str(folder or scratch), tag=tag, rm=True, forcerm=True, **options)
    image.attrs["RepoTags"] = [tag]  # another one that is made of the same is the same image, with the tags of both
    try:
        yield image
    finally:
        client.images.remove(tag, force=True)


@contextmanager
def pyinit_on(client: docker.DockerClient, base: str, folder: Path | None = None) -> Iterator[Image]:
    """The image of the project's Dockerfile on a base image, as long as the context lasts.

    The files of `folder`, if that is given, are in its /usr/local/bin.
    """
    with built(client, folder=ROOT, buildargs={"BASE_IMAGE": base}) as image:
        if folder is None:
            yield image
            return
        names = " ".join(file.name for file in folder.iterdir())
        with built(client, f"FROM {image.tags[0]}\nCOPY {names} /usr/local/bin/\n", folder) as extended:
            yield extended


def network_of_builds(client: docker.DockerClient) -> str | None:
    """The host's: it leads to the package indexes also where the engine's own leads nowhere.

    With user namespaces the engine refuses it, and its own has to do.
    """
    return None if "name=userns" in client.info()["SecurityOptions"] else "host"
