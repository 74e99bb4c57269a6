"""Images built with `docker build` and removed after use."""

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import docker
from docker.models.images import Image

from testing import ROOT, packages


def build(
    client: docker.DockerClient,
    tag: str,
    dockerfile: str = "",
    folder: Path | None = None,
    arguments: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Build an image from the text of a Dockerfile, or from the one in a folder; `client` is the engine at DOCKER_HOST.

    With both, the text can copy files from `folder`. All output is in `stdout`.
    """
    command = [packages.provide("docker", "docker.io", "docker-cli"), "build", f"--tag={tag}"]
    # The host's network reaches the package indexes even if the engine's own does not. With user namespaces the engine
    # refuses it.
    if "name=userns" not in client.info()["SecurityOptions"]:
        command.append("--network=host")
    command += [f"--build-arg={name}={value}" for name, value in (arguments or {}).items()]
    command += [f"--label={name}={value}" for name, value in (labels or {}).items()]
    with tempfile.TemporaryDirectory() as scratch:
        if dockerfile:
            written = Path(scratch, "Dockerfile")
            written.write_text(dockerfile)
            command.append(f"--file={written}")
        command.append(str(folder or scratch))
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


@contextmanager
def built(
    client: docker.DockerClient,
    dockerfile: str = "",
    folder: Path | None = None,
    arguments: Mapping[str, str] | None = None,
) -> Iterator[Image]:
    """An image that `build` makes, as long as the context lasts."""
    tag = f"pyinit-test-{uuid4().hex[:12]}:built"  # not "latest", which orchestrators pull
    # Without a label of its own a second image made of the same would be the same image, with both tags; and the engine
    # may delete it with the one tag while another process gives it the other.
    for _ in range(3):  # it may install packages, and a mirror may be out of reach for a moment
        done = build(client, tag, dockerfile, folder, arguments, labels={"pyinit.test": tag})
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stdout
    image = client.images.get(tag)
    try:
        yield image
    finally:
        client.images.remove(tag, force=True)


@contextmanager
def pyinit_on(client: docker.DockerClient, base: str, folder: Path | None = None) -> Iterator[Image]:
    """The image of the project's Dockerfile on a base image, as long as the context lasts.

    The files of `folder`, if that is given, are in its /usr/local/bin.
    """
    with built(client, folder=ROOT, arguments={"BASE_IMAGE": base}) as image:
        if folder is None:
            yield image
            return
        names = " ".join(file.name for file in folder.iterdir())
        with built(client, f"FROM {image.tags[0]}\nCOPY {names} /usr/local/bin/\n", folder) as extended:
            yield extended
