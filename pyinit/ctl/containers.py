"""The container that a process is in, found from its cgroups (cgroups(7)), and what its engine knows about it."""

import contextlib
import http.client
import json
import os
import re
import socket
from dataclasses import dataclass
from typing import Any

from pyinit.kernel import procfs
from pyinit.reporting.log import printable

_SECONDS = 2
"""How long to wait for an engine."""

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

_ENGINES = {"libpod": "podman", "libpod-payload": "podman", "cri-containerd": "containerd"}

CONFIGS = (
    "/run/containerd/io.containerd.runtime.v2.task/k8s.io/{}/config.json",
    "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/{}/config.json",
    "/run/containers/storage/overlay-containers/{}/userdata/config.json",
)
"""Where containerd, that of k3s, and CRI-O keep the OCI configuration of a container. Containerd itself speaks gRPC."""

_ANNOTATIONS = {
    "name": ("io.kubernetes.cri.container-name", "io.kubernetes.container.name"),
    "image": ("io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"),
    "pod": ("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"),
    "namespace": ("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"),
}
"""The annotations there, of containerd and of CRI-O."""


@dataclass(frozen=True)
class Container:
    """A container. All text is `printable`; what is not known is empty."""

    engine: str
    """``docker``, ``podman``, ``containerd``, ``crio``, ``nerdctl``, ``lxc``, ``machine``; ``container``: unknown."""
    id: str = ""
    name: str = ""
    image: str = ""
    pod: str = ""
    """The name of its pod, or else its UID."""
    namespace: str = ""
    """That of the pod."""

    @property
    def short_name(self) -> str:
        """Its name, or else what engines print in place of the id."""
        return self.name or self.id[:12]

    def __str__(self) -> str:
        """``docker web``, ``podman 0123456789ab``, ``containerd web (pod shop/web-1)``, ``lxc web``."""
        pod = "/".join(filter(None, (self.namespace, self.pod)))
        return f"{self.engine} {self.short_name}" + (f" (pod {pod})" if pod else "")


class Containers:
    """Finds the containers of processes. Asks each engine once, and only about a container that may be one of its."""

    def __init__(self) -> None:
        self._seen: dict[str, Container | None] = {}
        """The containers by the content of /proc/PID/cgroup."""
        self._known: dict[str, dict[str, str]] = {}
        """What engines have said, by the ids."""
        self._sockets = sockets()
        """Those of the engines that have not been asked."""
        self.denied: set[str] = set()
        """The files with names that we may not read."""

    def of_zombie(self, zombie: procfs.Process) -> Container | None:
        """As `of`. Version 1 shows every zombie in the root (version 2 where it was), so try its parent, too."""
        return self.of(zombie.pid) or self.of(zombie.parent)

    def of(self, pid: int) -> Container | None:
        """The container of a process; None if it is not in a container, or that is not visible."""
        text = memberships(pid)
        if text not in self._seen:
            self._seen[text] = self._found(text.split("\n"))
        return self._seen[text]

    def _found(self, lines: list[str]) -> Container | None:
        # Not every hierarchy shows the container. If containers are nested, the innermost counts.
        found = max([_CONTAINER.findall(line.removesuffix(" (deleted)")) for line in lines], key=len)
        if not found:
            return None
        pod, engine, number, lxc, *machine = found[-1]
        if lxc:
            return Container("lxc", name=printable(lxc))
        if not number:
            return Container("machine", name=printable("".join(machine).replace(r"\x2d", "-")))  # systemd.unit(5)
        known = self._look_up(number)
        facts = {"engine": "container", **known}
        if engine:
            facts["engine"] = _ENGINES.get(engine, engine)
        if "name" not in known:
            facts["pod"] = pod.replace("_", "-")
        return Container(id=number, **{name: printable(text) for name, text in facts.items()})

    def _look_up(self, number: str) -> dict[str, str]:
        """What is known about the container with this id."""
        while number not in self._known and self._sockets:
            engine, path = self._sockets.pop(0)
            try:
                listed = _listed(path)
            except PermissionError:
                self.denied.add(path)
            except Exception:  # whatever is wrong with the engine, the ids remain
                continue
            else:
                self._known |= {number: {"engine": engine, **facts} for number, facts in listed.items()}
        if number not in self._known:
            self._known[number] = self._configured(number)
        return self._known[number]

    def _configured(self, number: str) -> dict[str, str]:
        """The names in the OCI configuration of the container with this id, if Kubernetes has it."""
        for path in CONFIGS:
            try:
                with open(path.format(number), "rb") as file:
                    annotations = json.load(file)["annotations"]
                facts = {
                    fact: str(next(filter(None, map(annotations.get, keys)), "")) for fact, keys in _ANNOTATIONS.items()
                }
            except PermissionError:
                self.denied.add(path.partition("/{}")[0])
            except (OSError, ValueError, LookupError, TypeError, AttributeError):
                continue
            else:
                if facts["name"] or facts["pod"]:
                    return facts
        return {}


def memberships(pid: int) -> str:
    """The content of /proc/PID/cgroup; empty if it is not visible."""
    return (procfs.read(f"/proc/{pid}/cgroup") or b"").decode("utf-8", "surrogateescape")


def without_inner(cgroups: str) -> str:
    """The content of /proc/PID/cgroup with the cgroup of the container in place of one inside of it."""
    lines = [line.removesuffix(" (deleted)") for line in cgroups.split("\n")]
    ends = [[found.end() for found in _CONTAINER.finditer(line)] for line in lines]
    return "\n".join(line[: end[-1]] if end else line for line, end in zip(lines, ends, strict=True))


def sockets() -> list[tuple[str, str]]:
    """The engines that speak Docker's protocol, and where they listen for root or for this user.

    Not those of other users: one of them could keep root busy with an endless answer.
    """
    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    own = f"/run/user/{os.geteuid()}"
    return [
        *([("docker", host.removeprefix("unix://"))] if host.startswith("unix://") else []),
        ("docker", f"{own}/docker.sock"),
        ("podman", "/run/podman/podman.sock"),
        ("podman", f"{own}/podman/podman.sock"),
    ]


def _listed(path: str) -> dict[str, dict[str, str]]:
    """Name and image of each container that runs, by id, as an engine lists them.

    Raises:
        Exception: the engine does not answer, or makes no sense.
    """
    with contextlib.closing(_Connection(path)) as connection:
        connection.request("GET", "/containers/json")
        found: list[dict[str, Any]] = json.load(connection.getresponse())
        # The alias of a link is listed, too: /other/alias.
        return {
            str(one["Id"]): {
                "name": str(min(one["Names"], key=lambda name: name.count("/")))[1:],
                "image": str(one.get("Image") or ""),
            }
            for one in found
            if one["Names"]
        }


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)
