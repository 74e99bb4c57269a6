"""The container that a process is in, found from its cgroups (cgroups(7)). ``zombies --host`` names it."""

import contextlib
import re

from pyinit.kernel import procfs
from pyinit.reporting.log import printable

_SECONDS = 2
"""How long to wait for Docker."""

_CONTAINER = re.compile(
    r"/(?:"
    r"(?:[^/]*pod([0-9a-f_-]{32,36})(?:\.slice)?[/:]|[^/:]*:)?"
    r"(?:(docker|libpod|libpod-payload|cri-containerd|crio|nerdctl)[-/:])?([0-9a-f]{64})(?:\.scope)?"
    r"|lxc(?:/|\.payload[./])([^/]+)"
    r"|(?:machine-([^/]+)\.scope|systemd-nspawn@([^/]+)\.service)"
    r")(?![^/])"
)
"""One container in the path of a cgroup: pod, engine and id; the name in LXC; the name in systemd, in two forms.

With systemd, engines have runc and crun use ``engine-ID.scope``, without it ``/engine/ID`` or ``/ID``. The helper that
an engine runs beside a container (``libpod-conmon-ID.scope``, ``lxc.monitor.NAME``) is not a container.
"""

_ENGINES = {"": "container", "libpod": "podman", "libpod-payload": "podman", "cri-containerd": "containerd"}


class Containers:
    """Finds the containers of processes. Asks Docker once, and only about a container that may be one of Docker's."""

    def __init__(self) -> None:
        self._names: dict[str, str | None] = {}
        """The names by the content of /proc/PID/cgroup."""
        self._docker: dict[str, str] | None = None

    def of_zombie(self, zombie: procfs.Process) -> str | None:
        """As `name_of`. Version 1 shows every zombie in the root (version 2 where it was), so try its parent, too."""
        return self.name_of(zombie.pid) or self.name_of(zombie.parent)

    def name_of(self, pid: int) -> str | None:
        """The name of the container of a process; None if it is not in a container, or that is not visible.

        ``docker web``, ``podman 0123456789ab``, ``containerd 0123456789ab (pod UID)``, ``lxc web``, ``machine web``.
        """
        text = (procfs.read(f"/proc/{pid}/cgroup") or b"").decode("utf-8", "surrogateescape")
        if text not in self._names:
            name = self._name(text.split("\n"))
            self._names[text] = printable(name) if name else None
        return self._names[text]

    def _name(self, lines: list[str]) -> str | None:
        # Not every hierarchy shows the container. If containers are nested, the innermost counts.
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
    """The names of Docker's running containers by id; empty without Docker's SDK or access to Docker."""
    try:
        import docker

        with contextlib.closing(docker.from_env(timeout=_SECONDS)) as client:
            seen = [(one["Id"], one["Names"]) for one in client.api.containers()]
            # The alias of a link is listed, too: /other/alias.
            return {number: min(names, key=lambda name: name.count("/"))[1:] for number, names in seen if names}
    except Exception:  # whatever is wrong with the SDK or Docker, the ids remain
        return {}
