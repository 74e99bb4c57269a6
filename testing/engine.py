"""Runs a command that needs a Docker engine: `python -m testing.engine -- COMMAND [ARG]...`.

An engine that answers is used as it is. If none answers, that of a current Debian is started for this command alone,
and the command finds docker, compose and podman of that Debian first. The engine has a temporary folder, a mount
namespace and a bridge of its own, and makes no packet filter rules. Nothing of it is left when the command has ended.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import docker
from docker.errors import DockerException

from testing import Unavailable, compose, packages, say
from testing.roots import Root, locked
from testing.waiting import PATIENCE, SLOWNESS, Failed, eventually

CURRENT = Root(
    "trixie",
    (
        *("docker.io", "docker-cli", "docker-buildx", "docker-compose", "procps", "ca-certificates"),
        *("podman", "runc", "catatonit", "netavark", "python3"),
    ),
)
"""Docker 26, compose 2, podman 5."""
OLD = Root("bookworm", ("docker.io", "docker-compose", "iproute2", "ca-certificates", "podman", "runc", "catatonit"))
"""Docker 20.10, compose 1.29, podman 4."""

# The engine would use a containerd that runs already, which cannot see its mounts.
WITHOUT_CONTAINERD = 'mkdir -p /run/containerd && mount -t tmpfs tmpfs /run/containerd && exec "$@"'

COMES_FIRST = "{ echo -20 >/proc/self/autogroup; } 2>/dev/null; "
"""For sh(1): this session comes before others on a loaded machine. Two seconds after `docker exec` has ended the engine
gives up what it printed."""

SECONDS_TO_ANSWER = int(2 * PATIENCE)
"""Seconds that a call of an engine may take. The longest are those that load an image."""
SECONDS_TO_STOP = 60 * SLOWNESS
BRIDGE_ADDRESS = "02:42:00:00:00:01"


def main(arguments: list[str]) -> int:
    """Run the command that follows `--`; its exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    command = arguments[arguments.index("--") + 1 :]
    if answers():
        packages.provide("docker", "docker.io", "docker-cli")
        compose.provide()
        return run(command)
    if host := os.environ.get("DOCKER_HOST"):
        raise Unavailable(f"no Docker engine answers at DOCKER_HOST, {host}")
    say("no Docker engine answers: starting one of our own")
    with engine_of(CURRENT):
        return run(command)


@contextmanager
def engine_of(root: Root) -> Iterator[None]:
    """Within the context DOCKER_HOST is an engine of this root's; docker, compose and podman are found there first."""
    with ExitStack() as stack:
        programs = stack.enter_context(root.commands("docker", "dockerd", "docker-compose", "podman"))
        stack.enter_context(patch.dict(os.environ, PATH=f"{programs}:{os.environ.get('PATH', os.defpath)}"))
        stack.enter_context(patch.dict(os.environ, DOCKER_HOST=stack.enter_context(private_engine())))
        yield


def answers(host: str | None = None) -> bool:
    """Does an engine answer at `host`, or else at the address in the environment?"""
    try:
        timeout = int(5 * SLOWNESS)
        client = docker.DockerClient(base_url=host, timeout=timeout) if host else docker.from_env(timeout=timeout)
        with closing(client):
            return bool(client.ping())
    except (DockerException, OSError):
        return False


@contextmanager
def connect() -> Iterator[docker.DockerClient]:
    """A client of the engine at DOCKER_HOST, which the Makefile provides.

    Raises Unavailable: no engine answers.
    """
    with ExitStack() as stack:
        try:
            client = stack.enter_context(closing(docker.from_env(timeout=SECONDS_TO_ANSWER)))
            client.ping()
        except (DockerException, OSError) as error:
            raise Unavailable("no Docker engine answers: 'make' has one started") from error
        yield client


@contextmanager
def private_engine(*arguments: str) -> Iterator[str]:
    """A private engine as long as the context lasts, started with `arguments`; yields its address.

    It is the engine in PATH, or else that of a current Debian.
    """
    if os.geteuid() != 0:
        raise Unavailable("only root may start a Docker engine: start Docker or set DOCKER_HOST")
    ip = packages.provide("ip", "iproute2")
    unshare = packages.provide("unshare", "util-linux")
    with ExitStack() as stack:
        dockerd = packages.find("dockerd") or f"{stack.enter_context(CURRENT.commands('dockerd'))}/dockerd"
        folder = Path(tempfile.mkdtemp(prefix="pyinit-engine-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        log = folder / "log"
        host = f"unix://{folder}/socket"
        with picking_addresses():
            # Without --bridge it would share docker0 with another engine, and with --bridge=none it would delete it.
            bridge = f"pyinit{folder.name[-8:]}"
            # A bridge without an address takes that of a member, and changes it when containers come and go. What a
            # container sends is then lost until it has asked for the new address.
            subprocess.run([ip, "link", "add", bridge, "address", BRIDGE_ADDRESS, "type", "bridge"], check=True)
            stack.callback(subprocess.run, [ip, "link", "delete", bridge], check=False)
            with log.open("wb") as output:
                engine = subprocess.Popen(
                    [
                        *(unshare, "--mount", "sh", "-c", COMES_FIRST + WITHOUT_CONTAINERD, "sh", dockerd),
                        *("--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid"),
                        *("--host", host, "--group", str(os.getegid())),
                        *(f"--bridge={bridge}", "--iptables=false", "--ip6tables=false", "--shutdown-timeout=1"),
                        *arguments,
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # the Ctrl-C that ends the command is not for the engine
                )
            stack.callback(stop, engine)
            await_answer(engine, host, log)
        yield host


def picking_addresses() -> AbstractContextManager[None]:
    """Hold a lock while an engine picks addresses for a network: it takes those that no other uses at that moment."""
    return locked(Path("/sys/class/net"))


def await_answer(engine: subprocess.Popen[bytes], host: str, log: Path) -> None:
    """Return when the engine answers; end the program if the engine exits or takes too long."""
    with suppress(Failed):
        eventually(lambda: answers(host) or engine.poll() is not None)
        if engine.poll() is None:
            return
    last = (log.read_text(errors="replace").splitlines() or ["(it said nothing)"])[-1]
    raise Unavailable(f"a Docker engine of our own does not start: {last}")


def stop(engine: subprocess.Popen[bytes]) -> None:
    """End the engine and with it its containers."""
    engine.terminate()
    try:
        engine.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        # The session is the engine's own: containerd and the shims' parents are in it.
        os.killpg(engine.pid, signal.SIGKILL)
        engine.wait()


def run(command: list[str]) -> int:
    """Run the command to its end, whatever signals arrive; return its exit status as a shell reports it.

    Ctrl-C reaches the command from the terminal. TERM and HUP are passed on as INT, after which pytest cleans up.
    """
    # First of all: in the background of a script SIGINT is ignored, and the command must not inherit that.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        child = subprocess.Popen(command)
    except OSError as error:
        raise Unavailable(f"cannot run {command[0]}: {error.strerror}") from None
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: child.send_signal(signal.SIGINT))
    status = child.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
