"""Runs tests in a virtual machine with a current Debian: `python -m testing.machine [PYTEST-ARGUMENT]...`.

For tests that depend on the kernel: cgroup v2, systemd, IPVS. The machine is a Debian root with a kernel of its own in
qemu(1). It gets a copy of the repository and runs `make test` there. Only the results are kept, in .cache/results.
Hardware virtualization is used if a guest really boots with it. Emulation takes minutes to boot, and ten times as long
for the rest.
"""

import base64
import os
import re
import shlex
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from testing import ROOT, Unavailable, packages, say
from testing.base_images import BASE_IMAGES
from testing.environment import ALL, FEW
from testing.roots import CACHE, Root
from testing.seen import RESULTS
from testing.waiting import Failed, eventually

NOT_COPIED = {".git", ".venv", ".cache", "build", "dist", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
VENV = "/opt/venv"

PINS = [line for file in (FEW, ALL) for line in file.read_text().splitlines() if line[0] not in "#-"]

DEBIAN = Root(
    "trixie",
    (
        *("systemd-sysv", "dbus", "linux-image-cloud-amd64", "openssh-server", "kmod", "iproute2", "iptables"),
        *("docker.io", "docker-cli", "docker-buildx", "docker-compose", "podman", "netavark", "aardvark-dns"),
        *("runc", "catatonit", "tini", "dumb-init", "python3", "python3-venv", "ca-certificates", "make", "procps"),
        # Tests would otherwise install these one by one, slowly.
        *("gcc", "libc6-dev", "musl-tools", "strace", "less", "vim-tiny", "mmdebstrap"),
    ),
    hooks=(
        'bundle=/etc/ssl/certs/ca-certificates.crt; [ ! -e $bundle ] || cp $bundle "$1$bundle"',
        f'chroot "$1" python3 -m venv {VENV}',
        f'chroot "$1" {VENV}/bin/pip --quiet install {" ".join(PINS)}',
        f'touch "$1{VENV}/.ready"',
        r'printf "[Match]\nType=ether\n[Network]\nDHCP=yes\n" > "$1/etc/systemd/network/machine.network"',
        'chroot "$1" systemctl enable systemd-networkd',
        'echo machine > "$1/etc/hostname" && echo "127.0.0.1 localhost machine" > "$1/etc/hosts"',
    ),
)

KERNEL_ARGUMENTS = [
    *("root=/dev/vda", "rw", "console=ttyS0"),
    "systemd.default_timeout_start_sec=1800",
    # They would take minutes of the tests' time.
    *(f"systemd.mask={name}.timer" for name in ("apt-daily", "apt-daily-upgrade", "dpkg-db-backup", "fstrim")),
]

NAME_SERVER = "10.0.2.3"
"""The name server of qemu's network, which asks the host's."""


@dataclass(frozen=True)
class Accelerator:
    """A way to run a guest."""

    option: str
    seconds_to_boot: int
    slowness: int
    """How many times as long everything takes."""


ACCELERATORS = (Accelerator("kvm", 90, 1), Accelerator("tcg,thread=multi", 1800, 10))


class Machine:
    """A machine that answers."""

    def __init__(self, slowness: int, ssh: list[str]) -> None:
        self.slowness = slowness
        self._ssh = ssh

    def run(self, command: str, **popen: object) -> "subprocess.CompletedProcess[bytes]":
        """Run a line of shell to its end; `popen` are arguments of `subprocess.run`."""
        return subprocess.run([*self._ssh, command], stdin=subprocess.DEVNULL, **popen)  # type: ignore[call-overload, no-any-return]


def disk() -> Path:
    """The machine's disk, which no run changes."""
    target = CACHE / f"{DEBIAN.name}.ext4"
    if not target.exists():
        folder = DEBIAN.folder()
        say("making the disk of a machine")
        unfinished = target.with_suffix(f".{os.getpid()}")
        try:
            make = [
                packages.provide("mke2fs", "e2fsprogs"),
                "-q",
                "-t",
                "ext4",
                "-d",
                str(folder),
                str(unfinished),
                "16G",
            ]
            subprocess.run(make, check=True)
            unfinished.rename(target)
        finally:
            unfinished.unlink(missing_ok=True)
    return target


def pack_repository(target: Path) -> None:
    """Make a tar of the repository with the base images, so that these need not be made in the machine."""
    with tarfile.open(target, "w") as archive:
        archive.add(ROOT, "pyinit", filter=lambda member: None if NOT_COPIED & {*Path(member.name).parts} else member)
        for image in BASE_IMAGES:
            path = image.root.archive()
            archive.add(path, f"pyinit/.cache/{path.name}")


@contextmanager
def machine(repository: Path) -> Iterator[Machine]:
    """A machine as long as the context lasts, in which `repository`, a tar, is unpacked."""
    folder = repository.parent
    subprocess.run(
        [packages.provide("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"],
        check=True,
    )
    for accelerator in ACCELERATORS:
        say(f"starting a machine ({accelerator.option})")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with started(accelerator, repository, port) as process:
            ssh = ["ssh", "-q", "-p", str(port), "-i", str(folder / "key")]
            ssh += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "root@127.0.0.1"]
            answered = Machine(accelerator.slowness, ssh)
            if answers(answered, process, accelerator.seconds_to_boot):
                # The disk is the root of a container, which has another name server.
                answered.run(f"echo nameserver {NAME_SERVER} > /etc/resolv.conf")
                answered.run("systemctl is-system-running --wait", stdout=subprocess.DEVNULL)
                answered.run("tar -xf /dev/vdb -C /root", check=True)
                yield answered
                return
        say(f"no guest boots with {accelerator.option} here")
    raise Unavailable(f"no virtual machine starts; see {console()}")


def console() -> Path:
    """The console output of the last machine."""
    return CACHE / "machine.log"


@contextmanager
def started(accelerator: Accelerator, repository: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A virtual machine as long as the context lasts, whose ssh is at `port`."""
    qemu = packages.provide("qemu-system-x86_64", "qemu-system-x86", with_recommended=False)
    key = base64.b64encode((repository.parent / "key.pub").read_bytes()).decode()
    folder = DEBIAN.folder()
    command = [qemu, "-accel", accelerator.option, "-cpu", "max", "-smp", "2", "-m", "4G", "-display", "none"]
    command += ["-no-reboot", "-serial", f"file:{console()}", "-device", "virtio-rng-pci"]
    command += ["-kernel", str(folder / "vmlinuz"), "-initrd", str(folder / "initrd.img")]
    credential = f"systemd.set_credential_binary=ssh.authorized_keys.root:{key}"
    command += ["-append", " ".join([*KERNEL_ARGUMENTS, credential])]
    command += ["-drive", f"file={disk()},format=raw,if=virtio,snapshot=on,cache=unsafe"]
    command += ["-drive", f"file={repository},format=raw,if=virtio,readonly=on"]
    command += ["-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:22"]
    with (CACHE / "qemu.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()  # changes to its disk are discarded anyway
        process.wait()


def answers(machine: Machine, process: "subprocess.Popen[bytes]", seconds: int) -> bool:
    """Does the machine answer within some seconds?"""

    def look() -> bool:
        with suppress(subprocess.TimeoutExpired):
            return machine.run("true", timeout=60).returncode == 0
        return False

    with suppress(Failed):
        eventually(lambda: process.poll() is not None or look(), patience=seconds)
        return process.poll() is None
    return False


def main(arguments: list[str]) -> int:
    """Run `make test` in a machine, with these arguments of pytest's, and bring the results back; its exit status."""
    with tempfile.TemporaryDirectory(prefix="pyinit-machine-") as scratch:
        repository = Path(scratch, "repository.tar")
        pack_repository(repository)
        with machine(repository) as here:
            variables = {name: value for name, value in os.environ.items() if re.fullmatch("(?i)[a-z]+_proxy", name)}
            variables["SLOWNESS"] = str(here.slowness)
            make = ["env", *(f"{name}={value}" for name, value in variables.items())]
            make += ["make", "-C", "pyinit", "test", f"VENV={VENV}", f"--old-file={VENV}/.ready"]
            make += [f"TESTS={shlex.join(arguments)}", "ARGS=--junitxml=results.xml"]
            status = here.run(shlex.join(make)).returncode
            results = here.run("cat pyinit/results.xml", stdout=subprocess.PIPE)
    if results.returncode == 0:
        RESULTS.mkdir(exist_ok=True)
        target = RESULTS / f"machine-{datetime.now(UTC):%Y%m%d-%H%M%S}.xml"
        target.write_bytes(results.stdout)
        say(f"the results are in {target.relative_to(ROOT)}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
