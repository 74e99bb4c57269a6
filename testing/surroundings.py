"""The surroundings of the tests: the system, its kernel, the interpreter and the engines."""

import platform
import re
import subprocess
from contextlib import closing
from pathlib import Path

import docker
from docker.errors import DockerException

from testing import compose, packages
from testing.namespaces import INTERPRETER

# This is run by the interpreter of PID 1, which need not be that of the tests.
ASK_INTERPRETER = """
import os, platform, sys
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION")
except (OSError, ValueError):  # musl does not know the name
    libc = ""
build = "" if getattr(sys, "_is_gil_enabled", lambda: True)() else " free-threaded"
print(f"{platform.python_implementation()} {platform.python_version()}{build}")
print(libc or "musl")
"""


def surroundings() -> dict[str, str]:
    """Each of them by its kind; empty if there is none."""
    interpreter, libc = _output(INTERPRETER, "-ISc", ASK_INTERPRETER).splitlines()
    compose_command, podman = compose.command(), packages.find("podman")
    return {
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "kernel": _version(platform.release()),
        "cgroup": "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1",
        "systemd": _version(_output("systemctl", "--version")) if Path("/run/systemd/system").exists() else "",
        "interpreter": interpreter,
        "libc": libc,
        "docker": _engine(),
        "compose": _version(_output(*compose_command, "version")) if compose_command else "",
        "podman": _version(_output(podman, "--version")) if podman else "",
    }


def _engine() -> str:
    try:
        with closing(docker.from_env()) as client:
            return _version(client.version()["Version"])
    except (DockerException, OSError):
        return ""


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def _version(text: str) -> str:
    """The first number of a version in a text."""
    found = re.search(r"\d+(\.\d+)*", text)
    return found[0] if found else ""
