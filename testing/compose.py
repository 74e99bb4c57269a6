"""Compose as it is installed here: the engine's plugin, or the separate program."""

import subprocess

from testing import packages


def command() -> list[str] | None:
    """The words that start compose; None if it is not installed."""
    docker = packages.find("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0:
        return [docker, "compose"]
    program = packages.find("docker-compose")
    return [program] if program else None


def provide() -> list[str]:
    """The words that start compose, which is installed if it is missing."""
    return command() or [packages.provide("docker-compose", "docker-compose")]
