"""Socket activation: the workload alone gets the descriptors from 3 on, and the variables that describe them."""

import fcntl
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing import packages
from testing.namespaces import clean_environment
from testing.processes import descriptors
from testing.waiting import PATIENCE, eventually

from .conftest import Run, Start


@pytest.fixture(scope="session")
def activate() -> str:
    """systemd-socket-activate, from Debian's packages."""
    return packages.provide("systemd-socket-activate", "systemd")


SERVICE = """if True:
    import ctypes, json, os, socket, sys
    passed = ctypes.CDLL("libsystemd.so.0").sd_listen_fds(0)
    for fd in range(3, 3 + passed):
        with socket.socket(fileno=fd) as listener, listener.accept()[0] as connection:
            connection.sendall(json.dumps({
                "passed": passed,
                "path": listener.getsockname(),
                "names": os.environ["LISTEN_FDNAMES"].split(":"),
                "is_ours": os.environ["LISTEN_PID"] == str(os.getpid()),
            }).encode())
    sys.stdin.readline()
"""
"""Answers one connection on each of the sockets that systemd's own library finds. Run by the machine's Python, to
share its C library."""


def ask(path: Path) -> dict[str, object]:
    """The answer of the service at this socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(path))
        answer = json.loads(client.makefile().read())
    assert isinstance(answer, dict)
    return answer


def test_a_service_of_systemd_socket_activate_gets_its_sockets(start: Start, activate: str, tmp_path: Path) -> None:
    """systemd-socket-activate waits for the first connection, and then executes pyinit."""
    paths = {"web": tmp_path / "web", "admin": tmp_path / "admin"}
    before = [activate, *[f"--listen={path}" for path in paths.values()], f"--fdname={':'.join(paths)}"]
    container = start("--", "python3", "-ISc", SERVICE, before=before, stdin=subprocess.PIPE)
    eventually(paths["admin"].is_socket, "both sockets exist")  # its log may go to the kernel: it is PID 1
    for path in paths.values():
        assert ask(path) == {"passed": 2, "path": str(path), "names": [*paths], "is_ours": True}
    with pytest.raises(ConnectionRefusedError):  # the service has closed them, and so has pyinit
        ask(paths["web"])
    assert container.process.poll() is None
    container.say()
    ended = container.end()
    assert (ended.status, "pyinit:" in ended.err) == (0, False), ended


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Two connected pairs of sockets. The second of each has a number that collides with no other."""
    made = []
    for _ in range(2):
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        with theirs:
            made.append((ours, socket.socket(fileno=fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 20))))
    yield made
    for pair in made:
        for end in pair:
            end.close()


def has_sockets(pid: int) -> bool:
    """Is one of this process's descriptors a socket?"""
    return any(target.startswith("socket:") for target in descriptors(pid).values())


@pytest.mark.parametrize("options", [[], ["--session"], ["--user=4242"], ["--forward-to=all", "-vvv"]])
def test_connected_sockets_reach_the_workload(
    start: Start, pairs: list[tuple[socket.socket, socket.socket]], options: list[str]
) -> None:
    """As with ``Accept=yes`` of systemd.socket(5): as 3 and 4, with a LISTEN_PID that names the workload."""
    fds = [theirs.fileno() for _, theirs in pairs]
    move = " ".join(f"{number}<&{fd} {fd}<&-" for number, fd in enumerate(fds, 3))
    answer = 'echo "$word for $((LISTEN_PID == $$)) $LISTEN_FDS $LISTEN_FDNAMES"'
    container = start(
        *options,
        "--",
        "sh",
        "-c",
        f"for fd in 3 4; do read -r word <&$fd; {answer} >&$fd; done; read -r line",
        before=["bash", "-c", f'exec {move}; exec "$0" "$@"'],
        env=clean_environment(LISTEN_PID="1", LISTEN_FDS="2", LISTEN_FDNAMES="first:second"),
        pass_fds=fds,
        stdin=subprocess.PIPE,
    )
    for number, (ours, _) in enumerate(pairs):
        ours.sendall(b"word%d\n" % number)
        assert ours.makefile().readline() == f"word{number} for 1 2 first:second\n"
    eventually(lambda: not has_sockets(container.init), "PID 1 has closed them")


@pytest.mark.parametrize(("pid", "seen"), [("1", "2 unset"), ("77", "77 1234"), ("01", "01 1234"), ("", " 1234")])
def test_only_variables_that_name_pyinit_are_rewritten(run: Run, pid: str, seen: str) -> None:
    """LISTEN_PIDFDID of systemd 258, another id of the same process, is removed: that of the workload is not known."""
    environment = clean_environment(LISTEN_PID=pid, LISTEN_FDS="1", LISTEN_PIDFDID="1234")
    ended = run("--", "sh", "-c", 'echo "$LISTEN_PID ${LISTEN_PIDFDID-unset}"', env=environment)
    assert ended.out == f"{seen}\n", ended
