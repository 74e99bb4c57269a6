"""Roots of Debian systems, made by mmdebstrap(1) and kept in .cache/, and programs run in them.

A root is entered in a mount namespace of its own by pivot_root(2). chroot(2) is not enough: a process that a container
engine starts later in a container enters it from the root of the engine's mount namespace.
"""

import fcntl
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testing import ROOT, Unavailable, packages, say

CACHE = ROOT / ".cache"

SHARED = ("/tmp", "/var/tmp", tempfile.gettempdir(), str(ROOT))
"""Folders of the machine that have the same paths in a root, as volumes and build contexts must."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# $1 is the root, the others are the folders that it shares. The root does not change: programs write to file systems in
# memory. If machine and root both have one of the files, the machine's is used.
ENTER = """
set -e
root=$1
shift
in_memory="run root etc/docker var/lib/docker var/lib/containers"
mount --bind "$root" "$root"
for folder in proc sys dev $in_memory; do mkdir -p "$root/$folder"; done
for folder do mkdir -p "$root$folder"; done
touch "$root/etc/resolv.conf" "$root/etc/hosts"
mount -o remount,bind,ro "$root"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
for folder in $in_memory; do mount -t tmpfs tmpfs "$root/$folder"; done
for folder do mkdir -p "$root$folder" && mount --bind "$folder" "$root$folder"; done
for file in etc/resolv.conf etc/hosts etc/ssl/certs/ca-certificates.crt; do
    if [ -e "/$file" ] && [ -e "$root/$file" ]; then mount --bind "/$file" "$root/$file"; fi
done
cd "$root"
pivot_root . .
umount -l .
echo entered
exec cat
"""

# Run in the caller's working directory, if the root has it.
RUN = f'cd "$0" 2>/dev/null || cd /; HOME=/root PATH={PATH} exec "$@"'


@dataclass(frozen=True)
class Root:
    """A minimal Debian with some packages."""

    suite: str
    """The release: trixie, unstable."""
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = ()
    """Commands that complete it, in which ``$1`` is its folder."""
    options: tuple[str, ...] = ()
    """More options of mmdebstrap."""
    part: str = ""
    """A folder in it with another system that the hooks have built: it is kept in place of the whole."""

    @property
    def name(self) -> str:
        """Changes with the recipe."""
        return f"{self.suite}-{hashlib.sha256(repr(self).encode()).hexdigest()[:12]}"

    @property
    def is_archived(self) -> bool:
        """Is there a tar of it already?"""
        return self._archive.exists()

    def archive(self) -> Path:
        """A tar of it, made if there is none yet."""
        return self._made(self._archive)

    def folder(self) -> Path:
        """A folder that holds it, made if there is none yet."""
        return self._made(CACHE / self.name)

    @property
    def _archive(self) -> Path:
        return CACHE / f"{self.name}.tar"

    def _made(self, target: Path) -> Path:
        """Make it completely or not at all, and not while another program makes the same."""
        if target.exists():
            return target
        mmdebstrap = packages.provide("mmdebstrap", "mmdebstrap")
        CACHE.mkdir(exist_ok=True)
        unfinished = target.with_name(f"unfinished-{target.name}")
        command = [mmdebstrap, "--quiet", "--variant=minbase", f"--include={','.join(self.packages)}", *self.options]
        command += [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "locale", "man")]
        command += [f"--customize-hook={hook}" for hook in self.hooks]
        if self.part:
            keep = f'tar -C "$1{self.part}" -cf' if target == self._archive else f'cp -a "$1{self.part}"'
            keep += f" {shlex.quote(str(unfinished))}" + (" ." if target == self._archive else "")
            command += [f"--customize-hook={keep}", "--format=null", self.suite, "/dev/null"]
        else:
            command += [self.suite, str(unfinished)]
        lock = CACHE / f"{target.name}.lock"
        lock.touch()
        with locked(lock):
            if target.exists():
                return target
            say(f"making a Debian {self.suite} in {target}, which takes a minute or two")
            remove(unfinished)
            try:
                # mmdebstrap cleans up when all of its session is asked to end.
                with subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                ) as maker:
                    try:
                        said, _ = maker.communicate()
                    except BaseException:
                        os.killpg(maker.pid, signal.SIGTERM)
                        raise
                if maker.returncode != 0:
                    raise Unavailable(
                        f"{said.decode(errors='replace')}\nmmdebstrap could not make a Debian {self.suite}"
                    )
                unfinished.rename(target)
            finally:
                remove(unfinished)
        return target

    @contextmanager
    def commands(self, *names: str) -> Iterator[Path]:
        """A folder of scripts, each of which runs the command of its name in the root, as long as the context lasts.

        They share one private mount namespace. Its root is read-only, except for some folders that are empty at first,
        and for `SHARED`.
        Ends the program with one line if the root cannot be made or entered.
        """
        if os.geteuid() != 0:
            raise Unavailable(f"only root may enter a Debian {self.suite}")
        unshare, nsenter = (packages.provide(command, "util-linux") for command in ("unshare", "nsenter"))
        enter = [unshare, "--mount", "sh", "-c", ENTER, "sh", str(self.folder()), *dict.fromkeys(SHARED)]
        # The holder of the namespace ends when its standard input does, also when this program is killed.
        with (
            tempfile.TemporaryDirectory(prefix=f"pyinit-{self.suite}-") as folder,
            subprocess.Popen(
                enter,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # the Ctrl-C that ends this program is not for the holder
            ) as holder,
        ):
            assert holder.stdout and holder.stderr
            if holder.stdout.readline() != b"entered\n":
                raise Unavailable(f"a Debian {self.suite} cannot be entered: {holder.stderr.read().decode().strip()}")
            within = shlex.join([nsenter, f"--mount=/proc/{holder.pid}/ns/mnt", "sh", "-c", RUN])
            for name in names:
                script = Path(folder, name)
                script.write_text(f'#!/bin/sh\nexec {within} "$PWD" {name} "$@"\n')
                script.chmod(0o755)
            yield Path(folder)


def unstable(*packages: str) -> Root:
    """Debian unstable. The lists of some mirrors are past their own date of expiry."""
    return Root("unstable", packages, options=('--aptopt=Acquire::Check-Valid-Until "false"',))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on this file as long as the context lasts."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
