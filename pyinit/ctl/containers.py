"""Which container a process is in, as its cgroups tell (cgroups(7)): what ``zombies --host`` names."""

import contextlib
import re

from pyinit.kernel import procfs
from pyinit.reporting.log import printable

_SECONDS = 2
"""For which Docker may keep us waiting."""

_CONTAINER = re.compile(
    r"/(?:"
    r"(?:[^/]*pod([0-9a-f_-]{32,36})(?:\.slice)?[/:]|[^/:]*:)?"
    r"(?:(docker|libpod|libpod-payload|cri-containerd|crio|nerdctl)[-/:])?([0-9a-f]{64})(?:\.scope)?"
    r"|lxc(?:/|\.payload[./])([^/]+)"
    r"|(?:machine-([^/]+)\.scope|systemd-nspawn@([^/]+)\.service)"
    r")(?![^/])"
)
"""One container in the path of a cgroup: pod, engine and id; the name that LXC has for it; systemd's, two ways.

With systemd an engine has ``engine-ID.scope``, without ``/engine/ID`` or ``/ID``, as runc and crun are told. What an
engine runs beside it (``libpod-conmon-ID.scope``, ``lxc.monitor.NAME``) is none.
"""

_ENGINES = {"": "container", "libpod": "podman", "libpod-payload": "podman", "cri-containerd": "containerd"}


class Containers:
    """Tells the containers of processes. Docker is asked once, and only if there is a container that could be its."""

    def __init__(self) -> None:
        self._names: dict[str, str | None] = {}
        """By what /proc/PID/cgroup says."""
        self._docker: dict[str, str] | None = None

    def of_zombie(self, zombie: procfs.Process) -> str | None:
        """As `name_of`. Version 1 shows every zombie in the root (version 2 where it was): its parent's, then."""
        return self.name_of(zombie.pid) or self.name_of(zombie.parent)

    def name_of(self, pid: int) -> str | None:
        """What people call the container of a process; None if it is in none, or that cannot be seen.

        ``docker web``, ``podman 0123456789ab``, ``containerd 0123456789ab (pod UID)``, ``lxc web``, ``machine web``.
        """
        text = (procfs.read(f"/proc/{pid}/cgroup") or b"").decode("utf-8", "surrogateescape")
        if text not in self._names:
            name = self._name(text.split("\n"))
            self._names[text] = printable(name) if name else None
        return self._names[text]

    def _name(self, lines: list[str]) -> str | None:
        # A hierarchy may know nothing of it, and the innermost of nested ones is what counts.
        found = max([_CONTAINER.findall(line.removesuffix(" (deleted)")) for line in lines], key=len)
        if not found:
            return None
        pod, engine, number, lxc, *machine = found[-1]
        if not number:
            return f"lxc {lxc}" if lxc else "machine " + "".join(machine).replace(r"\x2d", "-")  # systemd.unit(5)
        if self._docker is None:
            self._docker = _docker_names()
        if number in self._docker:
            return f"docker {self._docker[number]}"
        name = f"{_ENGINES.get(engine, engine)} {number[:12]}"
        return f"{name} (pod {pod.replace('_', '-')})" if pod else name


def _docker_names() -> dict[str, str]:
    """What Docker calls its running containers, by id; nothing if its SDK is not there, or does not get at it."""
    try:
        import docker

        with contextlib.closing(docker.from_env(timeout=_SECONDS)) as client:
            seen = [(one["Id"], one["Names"]) for one in client.api.containers()]
            # A link is a name, too: /other/alias.
            return {number: min(names, key=lambda name: name.count("/"))[1:] for number, names in seen if names}
    except Exception:  # whatever is the matter with it: there are the ids
        return {}
