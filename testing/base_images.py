"""Puts the images to build on into the engine: `python -m testing.base_images -- COMMAND [ARG]...`.

Two of them are what people use: Python's own slim image, and a Debian with Debian's Python. Where the Hub cannot be
reached, both are put together from Debian packages and kept in .cache/ for the next run. COMMAND is then
executed in place of this program.
"""

import hashlib
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound

from testing import ROOT, Unavailable, packages, say

CACHE = ROOT / ".cache"
LABEL = "pyinit.made-of"


@dataclass(frozen=True)
class BaseImage:
    """An image to build on, and both ways to have it."""

    tag: str
    dockerfile: str
    """Makes it where the Hub can be reached."""
    suite: str
    """The Debian release that has the same Python, for where it cannot."""
    packages: str = "python3"
    """What of it is in the image, separated by commas."""
    hooks: tuple[str, ...] = ()
    """Commands that complete it, in which ``$1`` is its root folder."""

    @property
    def made_of(self) -> str:
        """Another one for each change of what makes it."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


SLIM, DEBIAN = "pyinit-base:slim", "pyinit-base:debian"

BASE_IMAGES = (
    BaseImage(
        SLIM,
        "FROM python:3.13-slim\n",
        suite="trixie",
        packages="python3,python3-pip,python3-venv,ca-certificates",
        hooks=(
            'ln -s python3 "$1/usr/bin/python" && rm "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
            # Whom the building machine trusts, whose way to the package index may be its own.
            'bundle=/etc/ssl/certs/ca-certificates.crt; [ ! -e $bundle ] || cp $bundle "$1$bundle"',
        ),
    ),
    BaseImage(
        DEBIAN,
        "FROM debian:bookworm-slim\n"
        "RUN apt-get update && apt-get install --yes --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*\n",
        suite="bookworm",
    ),
)


def provide(client: docker.DockerClient, image: BaseImage) -> None:
    """Have `image` in the engine under its tag."""
    try:
        if client.images.get(image.tag).labels.get(LABEL) == image.made_of:
            return
    except ImageNotFound:
        pass
    cached = CACHE / f"{image.suite}-{image.made_of}.tar"
    if not cached.exists():
        say(f"pulling {image.tag} from the Hub")
        try:
            labels = {LABEL: image.made_of}
            client.images.build(fileobj=BytesIO(image.dockerfile.encode()), tag=image.tag, labels=labels, rm=True)
            return
        except DockerException as error:
            say(f"not to be had ({error}): making it from Debian packages")
        put_together(image, cached)
    repository, tag = image.tag.split(":")
    changes = [f"LABEL {LABEL}={image.made_of}"]
    client.api.import_image_from_file(str(cached), repository=repository, tag=tag, changes=changes)


def put_together(image: BaseImage, target: Path) -> None:
    """Make a tar of a minimal Debian with the image's packages at `target`, whole or not at all."""
    mmdebstrap = packages.provide("mmdebstrap", "mmdebstrap")
    target.parent.mkdir(exist_ok=True)
    unfinished = target.with_suffix(f".{os.getpid()}.tar")
    command = [mmdebstrap, "--quiet", "--variant=minbase", f"--include={image.packages}"]
    command += [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "locale", "man")]
    command += [f"--customize-hook={hook}" for hook in image.hooks]
    command += [image.suite, str(unfinished)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        if done.returncode != 0:
            raise Unavailable(f"{done.stderr}\nmmdebstrap could not make a Debian {image.suite}")
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)


def main(arguments: list[str]) -> None:
    """Provide all base images, then become the command that follows `--`."""
    with closing(docker.from_env(timeout=600)) as client:
        for image in BASE_IMAGES:
            provide(client, image)
    command = arguments[arguments.index("--") + 1 :]
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
