"""Helpers for web servers in containers: requests, files and processes."""

import tarfile
from http.client import HTTPConnection, HTTPException, HTTPResponse
from io import BytesIO
from typing import Any

from docker.models.containers import Container

from testing.containers import execute, processes
from testing.waiting import PATIENCE, eventually

PUBLISHED: dict[str, Any] = {"network_mode": "bridge", "ports": {"8000/tcp": ("127.0.0.1", None)}}


def port_of(container: Container) -> int:
    """The published port of the container's web server."""
    container.reload()
    [published] = container.ports["8000/tcp"] or []
    return int(published["HostPort"])


def begin(port: int, seconds: float = 0) -> HTTPResponse:
    """Send a request, and return its answer once it has begun; the rest takes `seconds`."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", f"/?{seconds}", headers={"Connection": "close"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    assert answer.readline() == b"hello\n"
    return answer


def rest_of(answer: HTTPResponse) -> str:
    """The rest of an answer, or the error that cut it off."""
    try:
        return answer.read().decode()
    except (OSError, HTTPException) as error:
        return f"cut off: {error!r}"


def write_file(container: Container, folder: str, name: str, text: str) -> None:
    """Write a file in the container, as root."""
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as file:
        member = tarfile.TarInfo(name)
        member.size = len(text.encode())
        member.mode = 0o644
        file.addfile(member, BytesIO(text.encode()))
    assert container.put_archive(folder, archive.getvalue())


def await_reaped_orphan(container: Container) -> None:
    """Make an orphan, and wait until there is no zombie."""
    execute(container, "sh", "-c", "(true &)")
    eventually(lambda: [process.state for process in processes(container)], holds=lambda states: "Z" not in states)


def master_of(container: Container) -> int:
    """The only child of pyinit."""
    [master] = [process.pid for process in processes(container) if process.parent == 1]
    return master


def health(container: Container) -> str:
    """The result of the engine's health check."""
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])
