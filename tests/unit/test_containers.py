"""Names of containers, found by the cgroup paths that each engine uses."""

import errno
import json
import os
import socket
import socketserver
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinit.ctl import containers
from pyinit.ctl.containers import Container, Containers
from pyinit.kernel import procfs
from testing.waiting import PATIENCE

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
UID = "2c48913c-b29f-11e7-9350-020968147796"
PODS = "/kubepods.slice/kubepods-burstable.slice"
SOCKETS = containers.sockets
POD = f"{PODS}/kubepods-burstable-pod{UID.replace('-', '_')}.slice"


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No engine of the machine is asked, and none has left configurations; tests may provide both."""
    find = containers.sockets
    monkeypatch.setattr(containers, "sockets", lambda: [one for one in find() if one[1].startswith(str(tmp_path))])
    monkeypatch.setattr(containers, "CONFIGS", (f"{tmp_path}/{{}}/config.json",))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")


def name_from(monkeypatch: pytest.MonkeyPatch, *lines: str) -> str | None:
    """The container of a process whose /proc/PID/cgroup has these lines."""
    files = {"/proc/7/cgroup": "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")}
    monkeypatch.setattr(procfs, "read", files.get)
    found = Containers().of(7)
    return str(found) if found else None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"/docker/{ID}", "docker 0123456789ab"),
        (f"/system.slice/docker-{ID}.scope", "docker 0123456789ab"),
        (f"/system.slice:docker:{ID}", "docker 0123456789ab"),
        (f"/user.slice/user-1000.slice/user@1000.service/app.slice/docker-{ID}.scope", "docker 0123456789ab"),
        (f"/docker/{ID}/system.slice/cron.service", "docker 0123456789ab"),
        (f"/my-parent/{ID}", "container 0123456789ab"),
        (f"/../{ID}", "container 0123456789ab"),
        (f"/machine.slice/libpod-{ID}.scope", "podman 0123456789ab"),
        (f"/machine.slice/libpod-{ID}.scope/container", "podman 0123456789ab"),
        (f"/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope", "podman 0123456789ab"),
        (f"/libpod_parent/libpod-{ID}", "podman 0123456789ab"),
        (f"/system.slice/web.service/libpod-payload-{ID}", "podman 0123456789ab"),
        (f"/system.slice/nerdctl-{ID}.scope", "nerdctl 0123456789ab"),
        (f"{POD}/cri-containerd-{ID}.scope", f"containerd 0123456789ab (pod {UID})"),
        (f"{POD}/crio-{ID}.scope/container", f"crio 0123456789ab (pod {UID})"),
        (f"{POD}/docker-{ID}.scope", f"docker 0123456789ab (pod {UID})"),
        (f"/kubepods/burstable/pod{UID}/{ID}", f"container 0123456789ab (pod {UID})"),
        (f"/kubepods/burstable/pod{UID}/crio-{ID}", f"crio 0123456789ab (pod {UID})"),
        (f"/kubepods/pod{OTHER[:32]}/{ID}", f"container 0123456789ab (pod {OTHER[:32]})"),
        (f"/../../burstable/pod{UID}/{ID}", f"container 0123456789ab (pod {UID})"),
        (f"/kubepods-burstable-pod{UID}.slice:cri-containerd:{ID}", f"containerd 0123456789ab (pod {UID})"),
        ("/lxc/web", "lxc web"),
        ("/lxc/101/ns/init.scope", "lxc 101"),
        ("/lxc.payload.web/system.slice/cron.service", "lxc web"),
        ("/lxc.payload/web", "lxc web"),
        (r"/machine.slice/machine-my\x2dweb.scope/payload", "machine my-web"),
        (r"/machine.slice/systemd-nspawn@my\x2dweb.service/payload", "machine my-web"),
    ],
)
def test_the_paths_of_each_engine_are_known(monkeypatch: pytest.MonkeyPatch, path: str, name: str) -> None:
    """With cgroup version 2 and version 1, and if systemd's own hierarchy does not show the container."""
    assert name_from(monkeypatch, f"0::{path}") == name
    assert name_from(monkeypatch, "12:pids:/", f"11:cpu,cpuacct:{path}", "1:name=systemd:/", "0::/init.scope") == name


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/init.scope",
        "/user.slice/user-1000.slice/session-2.scope",
        "/system.slice/docker.service",
        "/system.slice/containerd.service",
        f"/machine.slice/libpod-conmon-{ID}.scope",
        f"/machine.slice/crio-conmon-{ID}.scope",
        f"/machine.slice/machine-libpod_pod_{ID}.slice",
        f"{POD}",
        "/lxc.monitor.web",
        "/lxc",
        f"/system.slice/{ID[:32]}",
        f"/system.slice/{ID}0",
        f"/system.slice/x{ID}",
    ],
)
def test_other_paths_are_the_host(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Services, sessions, and helpers that an engine runs beside a container."""
    assert name_from(monkeypatch, f"0::{path}") is None
    assert name_from(monkeypatch, f"4:memory:{path}", "0::/") is None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"/docker/{OTHER}/docker/{ID}", "docker 0123456789ab"),
        (f"/docker/{OTHER}/kubelet.slice{POD}/cri-containerd-{ID}.scope", f"containerd 0123456789ab (pod {UID})"),
        (f"/docker/{OTHER}/lxc/web", "lxc web"),
        (f"/lxc/web/docker/{ID}/init", "docker 0123456789ab"),
    ],
)
def test_the_innermost_container_counts(monkeypatch: pytest.MonkeyPatch, path: str, name: str) -> None:
    """For a container in a container, even if one hierarchy shows only the outer one."""
    assert name_from(monkeypatch, f"3:cpu:/docker/{OTHER}", f"2:pids:{path}", "0::/") == name


def test_a_removed_cgroup_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2 shows a zombie in its last cgroup, even if that was removed (kernel, ``proc_cgroup_show``)."""
    assert name_from(monkeypatch, f"0::/system.slice/docker-{ID}.scope (deleted)") == "docker 0123456789ab"


def test_a_zombie_of_version_1_is_in_the_container_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 shows it in the root, while systemd's version 2 hierarchy may still show a service."""
    zombie = procfs.Process(b"7 (sh) Z 3 " + b"0 " * 48)
    files = {
        "/proc/7/cgroup": b"4:memory:/\n0::/system.slice/containerd.service\n",
        "/proc/3/cgroup": f"4:memory:/docker/{ID}\n0::/system.slice/containerd.service\n".encode(),
    }
    monkeypatch.setattr(procfs, "read", files.get)
    assert str(Containers().of_zombie(zombie)) == "docker 0123456789ab"
    files["/proc/7/cgroup"] = b"0::/lxc/web\n"
    assert str(Containers().of_zombie(zombie)) == "lxc web"


def test_a_process_that_cannot_be_seen_is_in_no_container() -> None:
    """It has exited, or is hidden."""
    assert Containers().of(0) is None


def test_a_name_cannot_forge_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of /sys/fs/cgroup may hold anything but a slash and a newline."""
    assert name_from(monkeypatch, "0::/lxc/a\x1b[31m\r\x0b\udcff") == r"lxc a\x1b[31m\x0d\x0b\xff"


@given(text=st.text(st.sampled_from(f"/:-._podlxcma{ID[:16]}\\\x00\n\u2028é"), max_size=400) | st.text())
def test_any_cgroup_file_gives_a_printable_name_or_none(text: str) -> None:
    """No content of the file causes a traceback."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", "unix:///nobody")
        name = name_from(patch, text.encode("utf-8", "replace").decode(), f"0::/lxc/{text}".replace("\udfff", ""))
    assert name is None or name.isprintable()


class Engine(socketserver.ThreadingUnixStreamServer):
    """The part of Docker's API that is used."""

    daemon_threads = True

    def __init__(self, path: str, containers: object) -> None:
        super().__init__(path, _Answer)
        self.containers = containers
        self.asked: list[str] = []


class _Answer(BaseHTTPRequestHandler):
    server: Engine

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = json.dumps(self.server.containers).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "pyinitctl"

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def engine(monkeypatch: pytest.MonkeyPatch, folder: Path, containers: object) -> Iterator[Engine]:
    """Run an engine that has these containers, at DOCKER_HOST. It may take its time to answer."""
    monkeypatch.setattr("pyinit.ctl.containers._SECONDS", PATIENCE)
    with Engine(str(folder / "socket"), containers) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/socket")
        yield server
        server.shutdown()


def test_docker_is_asked_for_its_names_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A link to a container is not its name. A container that Docker does not know is named by its id."""
    names = [
        {"Id": ID, "Names": ["/a/b", "/webserver"], "Image": "registry/web:1"},
        {"Id": OTHER, "Names": ["/evil\x1b[2J"], "Image": "\n"},
        {"Id": "0" * 64, "Names": None},
    ]
    files = {
        "/proc/1/cgroup": b"0::/init.scope\n",
        "/proc/2/cgroup": f"0::/docker/{ID}\n".encode(),
        "/proc/3/cgroup": f"0::/my-parent/{OTHER}/x\n".encode(),
        "/proc/4/cgroup": f"0::/docker/{ID}/docker/{'0' * 64}\n".encode(),
    }
    monkeypatch.setattr(procfs, "read", files.get)
    with engine(monkeypatch, tmp_path, names) as docker:
        found = Containers()
        assert found.of(1) is None
        assert not docker.asked
        assert [str(found.of(pid)) for pid in (2, 3, 4, 2)] == [
            "docker webserver", r"docker evil\x1b[2J", "docker 000000000000", "docker webserver",
        ]  # fmt: skip
        assert [one.image for pid in (2, 3, 4) if (one := found.of(pid))] == ["registry/web:1", r"\x0a", ""]
        assert docker.asked == ["/containers/json"]


@pytest.mark.parametrize("nonsense", [None, [], {"message": "no"}, [{"Id": ID}], [{"Names": ["/x"]}], "text"])
def test_docker_may_answer_anything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nonsense: object) -> None:
    """The container is then named by its id."""
    with engine(monkeypatch, tmp_path, nonsense):
        assert name_from(monkeypatch, f"0::/docker/{ID}") == "docker 0123456789ab"


def test_docker_may_hang(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There is one request, with a timeout of some seconds."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/socket")
        silent.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/socket")
        started = time.monotonic()
        assert name_from(monkeypatch, f"0::/docker/{ID}") == "docker 0123456789ab"
    assert 1 < time.monotonic() - started < 20


@pytest.mark.parametrize("host", ["", "nonsense", "unix:///dev/null", "tcp://127.0.0.1:1", "ssh://nobody@127.0.0.1:1"])
def test_docker_may_have_an_unusable_address(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """That is not an error, and prints no message."""
    monkeypatch.setenv("DOCKER_HOST", host)
    assert name_from(monkeypatch, f"0::/docker/{ID}") == "docker 0123456789ab"


def test_an_isolated_interpreter_can_ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the installed launcher starts: without site, so without any package but ours."""
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from pyinit.kernel import procfs; from pyinit.ctl import containers\n"
        f"procfs.read = lambda path: b'0::/docker/{ID}'\n"
        "containers._SECONDS = 60\n"
        "print(containers.Containers().of(7))"
    )
    with engine(monkeypatch, tmp_path, [{"Id": ID, "Names": ["/web"]}]):
        command = [sys.executable, "-ISB", "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), timeout=PATIENCE)
    assert (done.stdout, done.stderr) == ("docker web\n", "")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"/libpod_parent/libpod-{ID}", "podman web"),
        (f"/my-parent/{ID}", "podman web"),
        (f"/docker/{ID}", "docker web"),
    ],
)
def test_podman_speaks_the_same_protocol(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str, name: str) -> None:
    """It is asked after Docker, and names the engine where the cgroup does not."""
    monkeypatch.setattr(containers, "sockets", lambda: [("docker", "/dev/null"), ("podman", f"{tmp_path}/socket")])
    with engine(monkeypatch, tmp_path, [{"Id": ID, "Names": ["/web"]}]):
        assert name_from(monkeypatch, f"0::{path}") == name


CONTAINERD = {
    "io.kubernetes.cri.container-name": "web",
    "io.kubernetes.cri.image-name": "registry/web:1",
    "io.kubernetes.cri.sandbox-name": "web-1\n",
    "io.kubernetes.cri.sandbox-namespace": "shop",
    "io.kubernetes.cri.sandbox-id": OTHER,
}
CRIO = {
    "io.kubernetes.container.name": "web",
    "io.kubernetes.cri-o.ImageName": "registry/web:1",
    "io.kubernetes.pod.name": "web-1\n",
    "io.kubernetes.pod.namespace": "shop",
}


@pytest.mark.parametrize(("engine", "annotations"), [("cri-containerd", CONTAINERD), ("crio", CRIO)])
def test_kubernetes_names_a_container_in_its_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: str, annotations: object
) -> None:
    """Pod, namespace and image as well. It is not the cgroup that says so: that has the UID of the pod."""
    (tmp_path / ID).mkdir()
    (tmp_path / ID / "config.json").write_text(json.dumps({"annotations": annotations}))
    engine_name = engine.removeprefix("cri-")
    assert name_from(monkeypatch, f"0::{POD}/{engine}-{ID}.scope") == rf"{engine_name} web (pod shop/web-1\x0a)"
    found = Containers().of(7)
    assert found == Container(engine_name, ID, "web", "registry/web:1", r"web-1\x0a", "shop")
    # A pause container has no name, and another engine writes other annotations.
    (tmp_path / ID / "config.json").write_text(json.dumps({"annotations": {"io.kubernetes.cri.sandbox-name": "web-1"}}))
    assert name_from(monkeypatch, f"0::{POD}/{engine}-{ID}.scope") == f"{engine_name} 0123456789ab (pod web-1)"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"annotations": []}', '{"annotations": {"a": "b"}}'])
def test_a_configuration_may_say_anything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """The container is then named by its id and the UID of its pod."""
    (tmp_path / ID).mkdir()
    (tmp_path / ID / "config.json").write_text(text)
    name = name_from(monkeypatch, f"0::{POD}/cri-containerd-{ID}.scope")
    assert name == f"containerd 0123456789ab (pod {UID})"


def test_what_may_not_be_read_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The paths of sockets and of folders, each once."""

    def refuse(*_: object) -> object:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(containers, "_listed", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(containers, "sockets", lambda: [("docker", "/run/docker.sock")])
    monkeypatch.setattr(containers, "CONFIGS", ("/run/some/{}/config.json",))
    files = {"/proc/1/cgroup": f"0::/docker/{ID}".encode(), "/proc/2/cgroup": f"0::/docker/{OTHER}".encode()}
    monkeypatch.setattr(procfs, "read", files.get)
    found = Containers()
    assert [str(found.of(pid)) for pid in (1, 2)] == ["docker 0123456789ab", "docker fedcba987654"]
    assert found.denied == {"/run/docker.sock", "/run/some"}


def test_only_sockets_of_root_and_of_this_user_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of other users; and no engine over the network."""
    own = f"/run/user/{os.geteuid()}"
    rest = [f"{own}/docker.sock", "/run/podman/podman.sock", f"{own}/podman/podman.sock"]
    for host, first in [("", ["/var/run/docker.sock"]), ("unix:///a b", ["/a b"]), ("tcp://127.0.0.1:1", [])]:
        monkeypatch.setenv("DOCKER_HOST", host)
        assert [path for _, path in SOCKETS()] == [*first, *rest]


@pytest.mark.parametrize(
    ("line", "outer"),
    [
        (f"0::/docker/{ID}/system.slice/cron.service", f"0::/docker/{ID}"),
        (f"4:memory:/docker/{OTHER}/docker/{ID}/a", f"4:memory:/docker/{OTHER}/docker/{ID}"),
        (f"0::/machine.slice/libpod-{ID}.scope/container (deleted)", f"0::/machine.slice/libpod-{ID}.scope"),
        ("0::/lxc/web/init.scope", "0::/lxc/web"),
        ("0::/init.scope", "0::/init.scope"),
        ("", ""),
    ],
)
def test_the_cgroup_of_the_container_counts(line: str, outer: str) -> None:
    """Not one that its processes have made inside."""
    assert containers.without_inner(f"{line}\n1:name=systemd:/") == f"{outer}\n1:name=systemd:/"
