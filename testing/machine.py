"""Runs tests in a virtual machine with a current Debian: `python -m testing.machine [VARIABLE=VALUE]...`.

For tests that depend on the kernel: cgroup v2, systemd, IPVS. The machine is a Debian root with a kernel of its own in
qemu(1). It gets a copy of the repository and runs `make tests` there with these variables (TESTS, ARGS). Only the
results are kept, in .cache/results. Hardware virtualization is used if a guest really boots with it. Emulation takes
minutes to boot, and ten times as long for the rest.

`python -m testing.machine --keep` starts a machine and keeps it until Ctrl-C. Meanwhile tests run in that one.
"""

import base64
import io
import json
import os
import re
import shlex
import signal
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
from typing import IO

from testing import ROOT, Unavailable, packages, say
from testing.base_images import BASE_IMAGES, SLIM
from testing.environment import ALL, FEW
from testing.roots import CACHE, Root
from testing.seen import RESULTS
from testing.waiting import Failed, eventually

NOT_COPIED = {".git", ".venv", ".cache", "build", "dist", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
VENV = "/opt/venv"
REPOSITORY = "pyinit"
"""Where it is in the machine, below the home of root."""
BASE = SLIM
"""The base image of its containers. One will do: interpreters are not what the kernel decides."""
KEPT = CACHE / "machine.json"
"""How to reach the machine that is kept."""

PINS = [line for file in (FEW, ALL) for line in file.read_text().splitlines() if line[0] not in "#-"]

DEBIAN = Root(
    "trixie",
    (
        *("systemd-sysv", "dbus", "linux-image-cloud-amd64", "openssh-server", "kmod", "iproute2", "iptables"),
        *("docker.io", "docker-cli", "docker-buildx", "docker-compose"),
        *("podman", "netavark", "aardvark-dns", "nftables"),
        *("runc", "catatonit", "tini", "dumb-init", "python3", "python3-venv", "ca-certificates", "make", "procps"),
        # Tests would otherwise install these one by one, slowly.
        *("gcc", "libc6-dev", "musl-tools", "strace", "less", "vim-tiny", "mmdebstrap"),
    ),
    hooks=(
        'bundle=/etc/ssl/certs/ca-certificates.crt; [ ! -e $bundle ] || cp $bundle "$1$bundle"',
        f'chroot "$1" python3 -m venv {VENV}',
        f'chroot "$1" {VENV}/bin/pip --quiet install {" ".join(PINS)}',
        # This interface alone: from others, those of containers, it would take away the bridge that they are on.
        r'printf "[Match]\nName=en*\n[Network]\nDHCP=yes\n" > "$1/etc/systemd/network/machine.network"',
        'chroot "$1" systemctl enable systemd-networkd',
        # Some tests have 10,000 processes.
        'mkdir "$1/etc/systemd/system.conf.d"',
        r'printf "[Manager]\nDefaultTasksMax=infinity\n" > "$1/etc/systemd/system.conf.d/machine.conf"',
        'echo machine > "$1/etc/hostname" && echo "127.0.0.1 localhost machine" > "$1/etc/hosts"',
    ),
)

KERNEL_ARGUMENTS = [
    *("root=/dev/vda", "rw", "console=ttyS0"),
    "systemd.default_timeout_start_sec=1800",
    # They would take minutes of the tests' time.
    *(f"systemd.mask={name}.timer" for name in ("apt-daily", "apt-daily-upgrade", "dpkg-db-backup", "fstrim")),
    # The private engines of tests keep their images there: it must be on the disk.
    "systemd.mask=tmp.mount",
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
        self.ssh = ssh

    def run(self, command: str, **popen: object) -> "subprocess.CompletedProcess[bytes]":
        """Run a line of shell to its end; `popen` are arguments of `subprocess.run`."""
        return subprocess.run([*self.ssh, command], **{"stdin": subprocess.DEVNULL, **popen})  # type: ignore[call-overload, no-any-return]

    def answers(self) -> bool:
        """Does it, within a minute?"""
        with suppress(subprocess.TimeoutExpired):
            return self.run("true", timeout=60).returncode == 0
        return False


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


def pack_base_image(target: Path) -> None:
    """Make a tar of the base image, so that it need not be made in the machine."""
    [root] = [image.root for image in BASE_IMAGES if image.tag == BASE]
    with tarfile.open(target, "w") as archive:
        archive.add(root.archive(), f"{REPOSITORY}/.cache/{root.archive().name}")


def pack_repository(target: IO[bytes]) -> None:
    """Write a tar of the repository."""
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.add(ROOT, REPOSITORY, filter=lambda member: None if NOT_COPIED & {*Path(member.name).parts} else member)


@contextmanager
def machine() -> Iterator[Machine]:
    """The machine that is kept, or else one as long as the context lasts."""
    kept = Machine(**json.loads(KEPT.read_text())) if KEPT.exists() else None
    if kept and kept.answers():
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="pyinit-machine-") as folder, new_machine(Path(folder)) as made:
        yield made


@contextmanager
def new_machine(folder: Path) -> Iterator[Machine]:
    """A machine as long as the context lasts, whose files are in `folder`."""
    base_image = folder / "base-image.tar"
    pack_base_image(base_image)
    subprocess.run(
        [packages.provide("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"],
        check=True,
    )
    for accelerator in ACCELERATORS:
        say(f"starting a machine ({accelerator.option}), whose console is {console()}")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with started(accelerator, base_image, port) as process:
            ssh = ["ssh", "-q", "-p", str(port), "-i", str(folder / "key")]
            ssh += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "root@127.0.0.1"]
            answered = Machine(accelerator.slowness, ssh)
            if boots(answered, process, accelerator.seconds_to_boot):
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
def started(accelerator: Accelerator, base_image: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A virtual machine as long as the context lasts, whose ssh is at `port`."""
    qemu = packages.provide("qemu-system-x86_64", "qemu-system-x86", with_recommended=False)
    key = base64.b64encode((base_image.parent / "key.pub").read_bytes()).decode()
    folder = DEBIAN.folder()
    command = [qemu, "-accel", accelerator.option, "-cpu", "max", "-smp", "2", "-m", "4G", "-display", "none"]
    command += ["-no-reboot", "-serial", f"file:{console()}", "-device", "virtio-rng-pci"]
    command += ["-kernel", str(folder / "vmlinuz"), "-initrd", str(folder / "initrd.img")]
    credential = f"systemd.set_credential_binary=ssh.authorized_keys.root:{key}"
    command += ["-append", " ".join([*KERNEL_ARGUMENTS, credential])]
    command += ["-drive", f"file={disk()},format=raw,if=virtio,snapshot=on,cache=unsafe"]
    command += ["-drive", f"file={base_image},format=raw,if=virtio,readonly=on"]
    command += ["-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:22"]
    with (CACHE / "qemu.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()  # changes to its disk are discarded anyway
        process.wait()


def boots(machine: Machine, process: "subprocess.Popen[bytes]", seconds: int) -> bool:
    """Does the machine answer within some seconds?"""
    with suppress(Failed):
        eventually(lambda: process.poll() is not None or machine.answers(), patience=seconds)
        return process.poll() is None
    return False


def run_tests(machine: Machine, variables: list[str]) -> int:
    """Run `make tests` in the machine with these variables of make's, and bring the results back; its exit status."""
    with tempfile.TemporaryFile() as repository:
        pack_repository(repository)
        repository.seek(0)
        # Files that only an earlier copy had must not stay.
        machine.run(f"rm -rf {REPOSITORY}/.cache/results", check=True)
        machine.run(f"find {REPOSITORY} -mindepth 1 -maxdepth 1 ! -name .cache -exec rm -rf {{}} +", check=True)
        machine.run("tar -x", stdin=repository, check=True)
    environment = {name: value for name, value in os.environ.items() if re.fullmatch("(?i)[a-z]+_proxy", name)}
    environment |= {"SLOWNESS": str(machine.slowness), "BASES": BASE}
    environment["PYTEST_ADDOPTS"] = f"--junitxml=.cache/results/machine-{datetime.now(UTC):%Y%m%d-%H%M%S}.xml"
    make = ["env", *(f"{name}={value}" for name, value in environment.items()), "make", "-C", REPOSITORY, "tests"]
    make += [f"VENV={VENV}", "COVERAGE=", *variables]
    status = machine.run(shlex.join(make)).returncode
    RESULTS.mkdir(exist_ok=True)
    packed = machine.run(f"tar -c -C {REPOSITORY}/.cache/results .", stdout=subprocess.PIPE)
    if packed.returncode == 0:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as results:
            results.extractall(RESULTS, filter="data")
        say(f"the results are in {RESULTS.relative_to(ROOT)}")
    return status


def keep(machine: Machine) -> None:
    """Let other runs use the machine until Ctrl-C."""
    KEPT.write_text(json.dumps(vars(machine)))
    try:
        say(f"kept until Ctrl-C: make machine TESTS=..., or {shlex.join(machine.ssh)}")
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        KEPT.unlink()


def main(arguments: list[str]) -> int:
    """Run tests in a machine, or keep one; an exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    if arguments == ["--keep"]:
        with tempfile.TemporaryDirectory(prefix="pyinit-machine-") as folder, new_machine(Path(folder)) as made:
            keep(made)
        return 0
    with machine() as here:
        return run_tests(here, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
