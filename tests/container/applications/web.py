"""Web servers in containers: requests to them, and what can be seen of them."""

import tarfile
from http.client import HTTPConnection, HTTPException, HTTPResponse
from io import BytesIO
from typing import Any

from docker.models.containers import Container

from testing.containers import execute, processes
from testing.waiting import PATIENCE, eventually

PUBLISHED: dict[str, Any] = {"ports": {"8000/tcp": ("127.0.0.1", None)}}


def port_of(container: Container) -> int:
    """Where the container's web server can be asked."""
    container.reload()
    [published] = container.ports["8000/tcp"] or []
    return int(published["HostPort"])


def begin(port: int, seconds: float = 0) -> HTTPResponse:
    """A request whose answer has begun; the rest of it takes so long."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", f"/?{seconds}", headers={"Connection": "close"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    assert answer.readline() == b"hello\n"
    return answer


def rest_of(answer: HTTPResponse) -> str:
    """The rest of an answer that has begun, or what cut it off."""
    try:
        return answer.read().decode()
    except (OSError, HTTPException) as error:
        return f"cut off: {error!r}"


def write_file(container: Container, folder: str, name: str, text: str) -> None:
    """Write a file of the container, as root."""
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as file:
        member = tarfile.TarInfo(name)
        member.size = len(text.encode())
        member.mode = 0o644
        file.addfile(member, BytesIO(text.encode()))
    assert container.put_archive(folder, archive.getvalue())


def await_reaped_orphan(container: Container) -> None:
    """Leave an orphan behind, and return when there is no zombie."""
    execute(container, "sh", "-c", "(true &)")
    eventually(lambda: [process.state for process in processes(container)], holds=lambda states: "Z" not in states)


def master_of(container: Container) -> int:
    """The only child of pyinit."""
    [master] = [process.pid for process in processes(container) if process.parent == 1]
    return master


def health(container: Container) -> str:
    """What the engine's health check has come to."""
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])
