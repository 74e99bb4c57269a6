"""Commands that set-up needs, installed from the distribution's packages where they are missing."""

import os
import shutil
import subprocess

from testing import Unavailable, one_at_a_time, say

# dockerd, unshare and docker-init live where an ordinary user's PATH does not look.
FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/libexec/docker")


def find(command: str) -> str | None:
    """The path of `command`, or None."""
    return shutil.which(command, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *FOLDERS]))


def provide(command: str, *packages: str, with_recommended: bool = True) -> str:
    """The path of `command`, for which `packages` are installed one after the other until it is there.

    Each comes with the packages that it recommends, unless they are many and of no use here.

    Ends the program with one line if that fails.
    """
    if os.geteuid() != 0 and (path := find(command)):
        return path
    for package in packages:
        with one_at_a_time("packages"):  # what another process installs is found before all that it needs is there
            if path := find(command):
                return path
            install(package, with_recommended)
    if path := find(command):
        return path
    raise Unavailable(f"there is no {command!r} after installing {', '.join(packages)}")


def install(package: str, with_recommended: bool = True) -> None:
    """Install one package, or end the program with one line that says why not."""
    if find("apt-get") is None:
        raise Unavailable(f"{package} is needed, and there is no apt-get to install it with")
    if os.geteuid() != 0:
        raise Unavailable(f"{package} is needed: run 'apt-get install {package}' as root, or this as root")
    say(f"installing {package}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = ["--yes", *([] if with_recommended else ["--no-install-recommends"])]
    for arguments in (["update"], ["install", *options, package]):
        done = subprocess.run(
            ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # An old list of packages may be good enough; a failed installation is an error.
        if done.returncode != 0 and arguments[0] == "install":
            raise Unavailable(f"{done.stdout}\n{package} could not be installed")
