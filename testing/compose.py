"""Compose, as this machine has it: the engine's plugin, or the program of its own."""

import subprocess

from testing import packages


def command() -> list[str] | None:
    """The words that start compose, or None where there is none."""
    docker = packages.find("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0:
        return [docker, "compose"]
    program = packages.find("docker-compose")
    return [program] if program else None


def provide() -> list[str]:
    """The words that start compose, which is installed where there is none."""
    return command() or [packages.provide("docker-compose", "docker-compose")]
