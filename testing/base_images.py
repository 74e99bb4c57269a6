"""Puts the images to build on into the engine: `python -m testing.base_images -- COMMAND [ARG]...`.

These are the ones that people use: Python's own slim images, its Alpine image, and a Debian with Debian's Python. If
the Hub cannot be reached, all are made from Debian packages and kept in .cache/ for the next run. COMMAND is then
executed in place of this program.
"""

import hashlib
import os
import sys
from contextlib import closing
from dataclasses import dataclass

import docker
from docker.errors import ImageNotFound

from testing import roots, say
from testing.images import build
from testing.musl import MUSL
from testing.roots import Root
from testing.waiting import SLOWNESS

LABEL = "pyinit.made-of"


@dataclass(frozen=True)
class BaseImage:
    """An image to build on, and two ways to make it."""

    tag: str
    dockerfile: str
    """Makes it if the Hub can be reached."""
    root: Root
    """A system with the same Python and C library, used if the Hub cannot be reached."""

    @property
    def made_of(self) -> str:
        """Changes with the recipe."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


SLIM, DEBIAN = "pyinit-base:slim", "pyinit-base:debian"
NEWEST, ALPINE = "pyinit-base:newest", "pyinit-base:alpine"

ALL = (
    BaseImage(
        SLIM,
        "FROM python:3.13-slim\n",
        Root(
            "trixie",
            ("python3", "python3-pip", "python3-venv", "ca-certificates"),
            hooks=(
                'ln -s python3 "$1/usr/bin/python" && rm "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
                # The certificates that this machine trusts: its package index may need one of them.
                'bundle=/etc/ssl/certs/ca-certificates.crt; [ ! -e $bundle ] || cp $bundle "$1$bundle"',
            ),
        ),
    ),
    BaseImage(
        DEBIAN,
        "FROM debian:bookworm-slim\n"
        "RUN apt-get update && apt-get install --yes --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*\n",
        Root("bookworm", ("python3",)),
    ),
    BaseImage(NEWEST, "FROM python:3.14-slim\n", roots.unstable("python3")),
    BaseImage(ALPINE, "FROM python:3.13-alpine\n", MUSL),
)

BASE_IMAGES = tuple(image for image in ALL if image.tag in os.environ.get("BASES", image.tag).split())
"""Those that the environment variable BASES names, or all: where a machine is slow, one may do."""


def provide(client: docker.DockerClient, image: BaseImage) -> None:
    """Make sure that the engine has `image` under its tag."""
    try:
        if client.images.get(image.tag).labels.get(LABEL) == image.made_of:
            return
    except ImageNotFound:
        pass
    if not image.root.is_archived:
        say(f"pulling {image.tag} from the Hub")
        done = build(client, image.tag, image.dockerfile, labels={LABEL: image.made_of})
        if done.returncode == 0:
            return
        say(f"not available ({done.stdout.strip().splitlines()[-1]}): making it from Debian packages")
    repository, tag = image.tag.split(":")
    changes = [f"LABEL {LABEL}={image.made_of}"]
    client.api.import_image_from_file(str(image.root.archive()), repository=repository, tag=tag, changes=changes)


def main(arguments: list[str]) -> None:
    """Provide all base images, then become the command that follows `--`."""
    with closing(docker.from_env(timeout=int(600 * SLOWNESS))) as client:
        for image in BASE_IMAGES:
            provide(client, image)
    command = arguments[arguments.index("--") + 1 :]
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
