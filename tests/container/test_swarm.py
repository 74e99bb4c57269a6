"""deploy/swarm.yaml: deployed, and updated under load with pyinit, with tini and without an init."""

import itertools
import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import docker
import pytest
from docker.errors import APIError
from docker.models.containers import Container

from testing import ROOT, packages
from testing.base_images import SLIM
from testing.blocks import blocks
from testing.containers import await_output, execute, printed, processes
from testing.engine import picking_addresses
from testing.images import built
from testing.waiting import SLOWNESS, eventually

from .conftest import Images

STACK = ROOT / "deploy" / "swarm.yaml"
PAGE = ROOT / "docs" / "rolling-update.md"
FOLDER = ROOT / "deploy" / "swarm"
REPLICAS = 2
PROCESSES = 2 * REPLICAS
"""That work on orders."""
GATEWAY = "docker_gwbridge"
SECONDS_TO_WAIT = max(600, 180 * SLOWNESS)

INITS = {
    "pyinit": "",
    "tini": 'COPY tini-static /usr/local/bin/tini\nENTRYPOINT ["tini", "--"]\nCMD ["./start.sh"]\n',
    "no init": 'ENTRYPOINT []\nCMD ["./start.sh"]\n',
}
"""The changes that each of them makes to the image."""

STARTS = {"gunicorn": "", "exec gunicorn": "RUN sed -i 's/^gunicorn/exec gunicorn/' start.sh\n"}
"""The forms of the last command of start.sh, and the changes that each makes to the image."""

PYINITCTL = "pyinitctl health --max-zombies=100 && "
"""The part of the health check that only pyinit has."""

LOAD = "import load; load.SECONDS_TO_ANSWER = 120; load.main('tasks.web', 8000)"
"""load.py, which waits longer for an answer of a loaded machine."""

LONGER = {
    'PYINIT_STOP_TIMEOUT: "10"': 'PYINIT_STOP_TIMEOUT: "20"',
    'PYINIT_DRAIN_TIMEOUT: "7"': 'PYINIT_DRAIN_TIMEOUT: "17"',
    "stop_grace_period: 20s": "stop_grace_period: 40s",
}
"""For a loaded machine: the grace period is longer by as much as both timeouts together."""

T = TypeVar("T")


class Update(NamedTuple):
    """The results of a rolling update."""

    requests: Counter[str]
    """The results of requests, by load.py."""
    finished: int
    """Orders that the replaced containers have finished."""
    killed: int
    """Orders that they had begun and not finished."""
    seconds: float
    """From the command until the replaced containers were gone."""

    @property
    def lost(self) -> Counter[str]:
        """Requests that were not answered, by what happened instead."""
        return Counter({what: count for what, count in self.requests.items() if what != "answered"})


class Stack:
    """A stack of the file's service, by a name of its own."""

    def __init__(self, engine: docker.DockerClient, file: Path, image: str) -> None:
        self.name = f"pyinit-test-{uuid4().hex[:8]}"
        self._engine = engine
        self._file = file
        self._image = image
        self._load: Container | None = None

    def deploy(self, version: int, image: str | None = None) -> None:
        """Deploy a version of it, by the command at the top of the file."""
        variables = {"WEB_IMAGE": image or self._image, "WEB_PORT": "0", "VERSION": str(version)}
        command = ("deploy", "--resolve-image", "never", "-c", str(self._file), self.name)
        # The engine gives up after 20 s of its own.
        eventually(lambda: self._command(*command, **variables), holds=lambda done: done.returncode == 0)

    def service(self) -> dict[str, Any]:
        """The service as the engine sees it."""
        [service] = self._engine.services.list(filters={"name": f"{self.name}_web"})
        return dict(service.attrs)

    def state(self) -> str:
        """The state of the last update."""
        return str(self.service().get("UpdateStatus", {}).get("State", "asked for"))

    def containers(self, **filters: str) -> list[Container]:
        """The running containers of the service."""
        label = f"com.docker.swarm.service.name={self.name}_web"
        found: list[Container] = self._engine.containers.list(filters={"label": label, **filters}, ignore_removed=True)
        return found

    def send(self) -> None:
        """Start sending requests."""
        # The containers' own addresses: the service's virtual one takes IPVS, which not every kernel has.
        self._load = self._engine.containers.create(
            self._image, ["python3", "-c", LOAD], entrypoint=[], network=f"{self.name}_web"
        )
        self._load.start()
        await_output(self._load, "sending")

    def orders(self, *hosts: str) -> Counter[str]:
        """The number of orders in each state: of all orders, or of those that these hosts have begun."""
        [one, *_] = eventually(lambda: self.containers(health="healthy"), patience=SECONDS_TO_WAIT)
        names = [name.split(".") for name in execute(one, "ls", "/spool").split()]
        return Counter(state for _, *host, state in names if not hosts or set(host) & set(hosts))

    def requests(self) -> Counter[str]:
        """Stop sending requests; return their results."""
        assert self._load is not None
        self._load.reload()
        assert self._load.status == "running", "it has ended by itself, and did not see all of the update"
        self._load.kill("SIGTERM")
        self._load.wait(timeout=SECONDS_TO_WAIT)
        return Counter(json.loads(self._load.logs().decode().splitlines()[-1]))

    def remove(self) -> None:
        """Remove the stack, with all that belongs to it."""
        if self._load:
            self._load.remove(force=True, v=True)
        # A network cannot be removed as long as Swarm has a task on it.
        eventually(
            lambda: self._command("rm", self.name), holds=lambda done: done.returncode == 0, patience=SECONDS_TO_WAIT
        )
        of_it: dict[str, Any] = {"label": f"com.docker.stack.namespace={self.name}"}
        for container in self._engine.containers.list(all=True, filters=of_it, ignore_removed=True):
            with suppress(APIError):  # Swarm may remove it first
                container.remove(force=True, v=True)
        eventually(
            lambda: self._engine.containers.list(all=True, filters=of_it, ignore_removed=True),
            holds=lambda left: not left,
            patience=SECONDS_TO_WAIT,
        )
        eventually(
            lambda: self._engine.networks.list(filters=of_it), holds=lambda left: not left, patience=SECONDS_TO_WAIT
        )
        for volume in self._engine.volumes.list(filters=of_it):
            volume.remove()

    def _command(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `docker stack`."""
        command = [packages.provide("docker", "docker.io", "docker-cli"), "stack", *arguments]
        return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)


@pytest.fixture(scope="module")
def node(engine: docker.DockerClient) -> Iterator[str]:
    """The id of the engine as a node of its swarm; if it is in none, one is made for the tests."""
    own = engine.info()["Swarm"]["LocalNodeState"] == "inactive"
    bridges = [network.name for network in engine.networks.list()]
    if own:
        with picking_addresses():
            engine.swarm.init(advertise_addr="127.0.0.1", listen_addr="127.0.0.1:2377")
    try:
        yield str(engine.info()["Swarm"]["NodeID"])
    finally:
        if own:
            engine.swarm.leave(force=True)
            if GATEWAY not in bridges:
                eventually(lambda: remove_gateway(engine), patience=SECONDS_TO_WAIT)


def remove_gateway(engine: docker.DockerClient) -> bool:
    """Try to remove the network that Swarm has made; return whether it is gone."""
    with suppress(APIError):  # it is in use for as long as a container of Swarm's is left
        engine.networks.get(GATEWAY).remove()
    return GATEWAY not in [network.name for network in engine.networks.list()]


@pytest.fixture(scope="module")
def web(engine: docker.DockerClient, images: Images) -> Iterator[str]:
    """The tag of the service's image."""
    # A user's engine may have another image of that name.
    dockerfile = (FOLDER / "Dockerfile").read_text().replace("FROM pyinit\n", f"FROM {images(SLIM).tags[0]}\n")
    with built(engine, dockerfile, FOLDER) as web:
        yield web.tags[0]


@pytest.fixture(scope="module")
def stacks(
    engine: docker.DockerClient, node: str, web: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], Stack]]:
    """The service with each way to start gunicorn and each init, healthy."""
    text = STACK.read_text().replace(" timeout: 10s\n", " timeout: 60s\n")  # of the health check
    assert PYINITCTL in text
    patient = text
    for setting, longer in LONGER.items():
        assert setting in text
        patient = patient.replace(setting, longer)
    # The images are on this node alone.
    here = f"    deploy:\n      placement:\n        constraints: [node.id == {node}]\n"
    with ExitStack() as images, ExitStack() as context:
        found: dict[tuple[str, str], Stack] = {}
        context.callback(lambda: for_each(Stack.remove, found))
        for (start, changes), (init, lines) in itertools.product(STARTS.items(), INITS.items()):
            folder = tmp_path_factory.mktemp("stack")
            shutil.copy(packages.provide("tini-static", "tini"), folder)
            dockerfile = f"FROM {web}\nUSER root\n{lines}{changes}USER 1000:1000\n"
            image = images.enter_context(built(engine, dockerfile, folder))
            file = folder / "swarm.yaml"
            settings = patient if init == "pyinit" else text.replace(PYINITCTL, "")
            file.write_text(settings.replace("    deploy:\n", here))
            stack = found[start, init] = Stack(engine, file, image.tags[0])
            stack.deploy(1)
        for_each(await_healthy, found)
        yield found


def for_each(do: Callable[[Stack], T], stacks: dict[tuple[str, str], Stack]) -> dict[tuple[str, str], T]:
    """Call `do` for all stacks at the same time; return the results."""
    with ThreadPoolExecutor() as threads:
        return dict(zip(stacks, threads.map(do, stacks.values()), strict=True))


def await_healthy(stack: Stack) -> list[Container]:
    """Wait until all containers of the service are healthy; return them."""
    return eventually(
        lambda: stack.containers(health="healthy"), holds=lambda found: len(found) == REPLICAS, patience=SECONDS_TO_WAIT
    )


@pytest.fixture(scope="module")
def updates(stacks: dict[tuple[str, str], Stack]) -> dict[tuple[str, str], Update]:
    """Update all services under load, at the same time."""
    replaced = {key: [str(one.id) for one in containers] for key, containers in for_each(await_healthy, stacks).items()}
    for_each(Stack.send, stacks)
    for stack in stacks.values():
        # When each process is at its third order, they are busy, and the first requests have been answered.
        eventually(stack.orders, holds=lambda orders: orders["done"] >= 2 * PROCESSES, patience=SECONDS_TO_WAIT)
    begin = time.monotonic()
    for_each(lambda stack: stack.deploy(2), stacks)
    seconds: dict[tuple[str, str], float] = {}

    def look() -> dict[tuple[str, str], str]:
        """The stacks whose update is not complete."""
        for key, stack in stacks.items():
            left = {one.id for one in stack.containers()} & set(replaced[key])
            if key not in seconds and not left:
                seconds[key] = time.monotonic() - begin
        states = {key: stack.state() for key, stack in stacks.items()}
        return {key: state for key, state in states.items() if key not in seconds or state != "completed"}

    eventually(look, holds=lambda left: not left, patience=SECONDS_TO_WAIT)
    found = {}
    for key, requests in for_each(Stack.requests, stacks).items():
        orders = stacks[key].orders(*(name[:12] for name in replaced[key]))
        found[key] = Update(requests, orders["done"], orders["begun"], seconds[key])
    print("\n" + "".join(f"{row(*key, update)}\n" for key, update in found.items()))
    return found


def row(start: str, init: str, update: Update) -> str:
    """A row of the table in docs/rolling-update.md."""
    lost, killed = (
        f"**{count}**" if init == "pyinit" else f"{count}" for count in (update.lost.total(), update.killed)
    )
    orders = update.finished + update.killed
    return f"| `{start}` | {init} | {update.requests.total()} | {lost} | {orders} | {killed} | {update.seconds:.0f} |"


def test_the_page_shows_settings_of_the_stack() -> None:
    """Line by line, without the comments."""
    stack = STACK.read_text().splitlines()
    shown = [line.split("#")[0].rstrip() for text in blocks(PAGE) for line in text.splitlines()]
    assert [line for line in shown if line not in stack] == []


@pytest.mark.parametrize("start", STARTS)
def test_rolling_update_under_pyinit_loses_nothing(updates: dict[tuple[str, str], Update], start: str) -> None:
    """Every request is answered, and every order that a replaced container had begun is finished."""
    update = updates[start, "pyinit"]
    assert (update.lost, update.killed) == ({}, 0)
    assert update.finished >= 2 * PROCESSES


@pytest.mark.parametrize(
    ("start", "init", "loses"),
    [
        ("gunicorn", "tini", "requests and orders"),
        ("gunicorn", "no init", "orders"),
        ("exec gunicorn", "tini", "orders"),
        ("exec gunicorn", "no init", "orders"),
    ],
)
def test_rolling_update_under_another_init_loses_work(
    updates: dict[tuple[str, str], Update], start: str, init: str, loses: str
) -> None:
    """With the same load and the same update."""
    update = updates[start, init]
    lost = {"requests": update.lost.total(), "orders": update.killed}
    assert " and ".join(what for what, count in lost.items() if count) == loses, update


def test_the_page_shows_what_each_init_loses(updates: dict[tuple[str, str], Update]) -> None:
    """Its numbers are from another run: the same ones must be zero here."""
    number = r"\**(\d+)\**"
    shape = rf"^\| `(.+)` \| (.+) \| \d+ \| {number} \| \d+ \| {number} \| \d+ \|$"
    rows = re.findall(shape, PAGE.read_text(), re.MULTILINE)
    shown = {(start, init): (int(lost) > 0, int(killed) > 0) for start, init, lost, killed in rows}
    assert shown == {key: (bool(update.lost), bool(update.killed)) for key, update in updates.items()}


def test_settings_are_in_force(stacks: dict[tuple[str, str], Stack]) -> None:
    """By what a container of the stack sees. PID 1's timeouts fit into the grace period of the engine."""
    stack = stacks["gunicorn", "pyinit"]
    container = await_healthy(stack)[0]
    init = dict(line.split(":\t", 1) for line in printed(container, "cat", "/proc/1/status").splitlines())
    assert (init["Uid"].split(), int(init["CapBnd"], 16), int(init["CapPrm"], 16)) == (["1000"] * 4, 0, 0)
    assert "Read-only file system" in printed(container, "sh", "-c", "touch /tmp/file && ! touch /app/file 2>&1")
    eventually(lambda: [process.state for process in processes(container)], holds=lambda states: "Z" not in states)
    given = stack.service()["Spec"]["TaskTemplate"]["ContainerSpec"]["StopGracePeriod"] / 1e9
    names = ("PYINIT_STOP_TIMEOUT", "PYINIT_DRAIN_TIMEOUT")
    assert given > sum(float(printed(container, "printenv", name)) for name in names) + 2


def test_version_that_does_not_start_is_rolled_back(
    engine: docker.DockerClient, web: str, stacks: dict[tuple[str, str], Stack]
) -> None:
    """Since new containers are started first, no running container is replaced."""
    stack = stacks["gunicorn", "pyinit"]
    before = {one.id for one in await_healthy(stack)}
    with built(engine, f'FROM {web}\nCMD ["false"]\n') as broken:
        stack.deploy(3, broken.tags[0])
        eventually(stack.state, holds=lambda state: state == "rollback_completed", patience=SECONDS_TO_WAIT)
        assert {one.id for one in await_healthy(stack)} == before
