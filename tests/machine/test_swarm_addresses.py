"""A Swarm service under pyinit at its published port and at its virtual address: both take IPVS."""

import http.client
from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import docker
import pytest
from docker.errors import APIError, NotFound
from docker.models.networks import Network
from docker.models.services import Service
from docker.types import EndpointSpec, ServiceMode

from testing.base_images import SLIM
from testing.containers import created, ended
from testing.images import pyinit_on
from testing.waiting import PATIENCE, eventually
from tests.container.conftest import engine  # noqa: F401
from tests.container.test_swarm import node  # noqa: F401

REPLICAS = 2

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{os.uname().nodename} {os.getppid()}".encode())
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
"""Answers with the name of its container and the pid of its parent."""

CLIENT = """
import socket, sys, urllib.request
print(socket.gethostbyname(sys.argv[1]))
for _ in range(20):
    print(urllib.request.urlopen(f"http://{sys.argv[1]}:8000", timeout=float(sys.argv[2])).read().decode())
"""


@pytest.fixture(scope="module")
def service(engine: docker.DockerClient, node: str) -> Iterator[Service]:  # noqa: F811
    """The service on a network of its own, with all of its replicas running."""
    name = f"pyinit-test-{uuid4().hex[:8]}"
    with ExitStack() as stack:
        image = stack.enter_context(pyinit_on(engine, SLIM))
        network = engine.networks.create(name, driver="overlay", attachable=True)
        # It cannot be removed as long as Swarm has a task on it.
        stack.callback(eventually, lambda: removed(network), patience=3 * PATIENCE)
        service: Service = engine.services.create(  # type: ignore[no-untyped-call]
            image.tags[0],
            name=name,
            args=["python3", "-c", SERVER],
            networks=[name],
            mode=ServiceMode("replicated", REPLICAS),
            endpoint_spec=EndpointSpec(ports=[{"TargetPort": 8000}]),  # type: ignore[dict-item]
        )
        stack.callback(service.remove)
        running = {"filters": {"desired-state": "running"}}
        eventually(
            lambda: [task["Status"] for task in service.tasks(**running)],  # type: ignore[no-untyped-call]
            holds=lambda found: [one["State"] for one in found] == ["running"] * REPLICAS,
            patience=3 * PATIENCE,
        )
        service.reload()
        yield service


def removed(network: Network) -> bool:
    """Try to remove a network; return whether it is gone."""
    try:
        network.remove()
    except NotFound:
        return True
    except APIError:
        pass
    return False


def ask(port: int) -> str:
    """The service's answer at a port of this machine, or the error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    except OSError as error:
        return str(error)
    finally:
        connection.close()


def test_each_replica_answers_at_the_published_port(service: Service) -> None:
    """In turn; the server's parent is PID 1."""
    [port] = [one["PublishedPort"] for one in service.attrs["Endpoint"]["Ports"]]
    eventually(lambda: ask(port), holds=lambda answer: answer.endswith(" 1"))
    answers = [ask(port) for _ in range(4 * REPLICAS)]
    assert len({*answers}) == REPLICAS, answers
    assert all(answer.endswith(" 1") for answer in answers), answers


def test_each_replica_answers_at_the_virtual_address(service: Service, engine: docker.DockerClient) -> None:  # noqa: F811
    """A container on the service's network asks by the service's name, which has one address."""
    addresses = [one["Addr"].split("/")[0] for one in service.attrs["Endpoint"]["VirtualIPs"]]
    command = ["python3", "-c", CLIENT, service.name, str(PATIENCE)]
    with created(engine, SLIM, *command, network=service.name) as client:
        client.start()
        told = ended(client)
    assert told.status == 0, told
    address, *answers = told.output.splitlines()
    assert address in addresses
    assert len({*answers}) == REPLICAS, answers
