"""A private podman, of which almost nothing is left at the end.

Its files are in a temporary folder, and its mounts in a mount namespace of its own. Two empty folders stay,
/var/lib/containers and /run/containers/networks, because another podman may have begun to use them.
"""

import glob
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker

from testing import Unavailable, packages
from testing.waiting import eventually

# The limits are low enough for a machine where not even root may raise its own. The rest makes podman ask neither
# systemd nor the journal for anything, and keep its locks in files, not in the shared memory of all podmans.
SETTINGS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
{init}
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
{runtime}
tmp_dir = "{folder}/tmp"
[network]
network_config_dir = "{folder}/networks"
"""
STORAGE = """
[storage]
driver = "{driver}"
graphroot = "{folder}/root"
runroot = "{folder}/run"
"""

# Podman notes known layers there, wherever its storage is. The holder ends when its standard input does.
HOLD = 'mount --bind "$0" /var/lib/containers && echo held && exec cat'
CGROUPS = Path("/sys/fs/cgroup")
# Podman prefers crun, which refuses a hybrid of both versions of cgroups.
RUNTIME = "" if (CGROUPS / "cgroup.controllers").exists() else 'runtime = "runc"'


class Podman:
    """Runs podman's commands."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._command = command
        self._environment = environment

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run one command to its end, whatever its status; both its outputs are in `stdout`."""
        return subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def load(self, client: docker.DockerClient, tag: str) -> str:
        """Copy an image from a Docker engine; return its name in podman."""
        with tempfile.NamedTemporaryFile() as archive:
            archive.writelines(client.images.get(tag).save(named=tag))
            archive.flush()
            return self("load", "--quiet", f"--input={archive.name}").strip().removeprefix("Loaded image: ")

    @contextmanager
    def service(self, path: Path) -> Iterator[str]:
        """Have it listen at the socket with this path, as long as the context lasts; yields the address."""
        address = f"unix://{path}"
        command = [*self._command, "system", "service", "--time=0", address]
        with subprocess.Popen(command, env=self._environment, stdin=subprocess.DEVNULL) as service:
            try:
                eventually(lambda: listens(path))
                yield address
            finally:
                service.terminate()

    def __call__(self, *arguments: str) -> str:
        """Run a command; return its output, and fail if it fails."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"podman {' '.join(arguments)}: {done.returncode}\n{done.stdout}"
        return done.stdout


@contextmanager
def private_podman(init: Path | None = None) -> Iterator[Podman]:
    """A private podman as long as the context lasts. It is installed if it is missing.

    `init` is the program that `podman run --init` puts into containers; the default is podman's own.

    Ends the program with one line if there is none.
    """
    if os.geteuid() != 0:
        raise Unavailable("only root may start a podman of its own")
    podman = packages.find("podman")
    if podman is None:
        podman = packages.provide("podman", "podman")
        for command in ("runc", "catatonit"):  # podman's package accepts others
            packages.provide(command, command)
    unshare, nsenter = (packages.provide(command, "util-linux") for command in ("unshare", "nsenter"))
    folder = Path(tempfile.mkdtemp(prefix="pyinit-podman-"))
    (folder / "cache").mkdir()
    Path("/var/lib/containers").mkdir(exist_ok=True)
    before = cgroups()
    holder = subprocess.Popen(
        [unshare, "--mount", "sh", "-c", HOLD, folder / "cache"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        if not holder.stdout or holder.stdout.readline() != b"held\n":
            raise Unavailable("podman cannot have a mount namespace of its own")
        private = settled([nsenter, f"--mount=/proc/{holder.pid}/ns/mnt", podman, "--log-level=error"], folder, init)
        try:
            yield private
        finally:
            private("pod", "rm", "--all", "--force", "--time=0")
    finally:
        holder.communicate()
        shutil.rmtree(folder, ignore_errors=True)
        for cgroup in sorted(cgroups() - before, reverse=True):
            with suppress(OSError):  # in use by another podman
                cgroup.rmdir()


def settled(command: list[str], folder: Path, init: Path | None) -> Podman:
    """A podman whose files are in `folder`, on whichever storage works there.

    Ends the program with one line if none does.
    """
    environment = {
        **os.environ,
        "CONTAINERS_CONF": f"{folder}/containers.conf",
        "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
        "DISABLE_HC_SYSTEMD": "true",  # no timers for health checks
    }
    settings = SETTINGS.format(folder=folder, runtime=RUNTIME, init=f'init_path = "{init}"' if init else "")
    (folder / "containers.conf").write_text(settings)
    podman = Podman(command, environment)
    for driver in ("overlay", "vfs"):  # overlay does not work on top of overlay, as in a container
        (folder / "storage.conf").write_text(STORAGE.format(folder=folder, driver=driver))
        known = podman.run("info")
        if known.returncode == 0:
            return podman
        shutil.rmtree(folder / "root", ignore_errors=True)
    raise Unavailable(f"podman does not run: {(known.stdout.strip().splitlines() or ['(it said nothing)'])[-1]}")


def listens(path: Path) -> bool:
    """Does a program accept connections at this socket?"""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def cgroups() -> set[Path]:
    """The cgroups of podman's pods, and their parent: with version 1 some are left over."""
    patterns = [f"{hierarchy}libpod_parent{pod}" for hierarchy in ("", "*/") for pod in ("", "/*/")]
    # Not Path.glob: it fails if a folder that it has found is gone, such as one of another podman.
    return {Path(cgroup) for pattern in patterns for cgroup in glob.glob(f"{CGROUPS}/{pattern}")}
