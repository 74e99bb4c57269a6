"""supervisord as the workload: it stops its programs in their order, and pyinit takes care of other processes."""

import re
from typing import Any

import pytest
from docker.errors import NotFound
from docker.models.containers import Container

from testing.containers import Containers, Process, ended, execute, processes, read_file, stopped
from testing.waiting import eventually

JOURNAL = "/home/app/journal"
IN_THE_FOREGROUND = ("supervisord", "-n", "-c", "/etc/supervisord.conf")
# A supervisord in the background has no standard output, so its programs write to that of PID 1.
WITH_TAIL = (
    *("sh", "-c"),
    "sed s,/dev/fd/1,/proc/1/fd/1, /etc/supervisord.conf >/tmp/conf; supervisord -c /tmp/conf; exec tail -f /dev/null",
)


def start(containers: Containers, *command: str, **options: Any) -> Container:
    """Start a container, and wait until its two programs and the daemon that one of them starts are ready."""
    container = containers.start(*command, **options)
    await_ready(container, 3)
    return container


def await_ready(container: Container, number: int) -> None:
    """Wait until this many processes have printed that they are ready."""
    eventually(lambda: container.logs().decode(), holds=lambda said: said.count(": ready\n") == number)


def await_no_zombie(container: Container) -> list[Process]:
    """Wait until there is no zombie and the worker's short tasks have exited; return the processes."""
    return eventually(
        lambda: processes(container),
        holds=lambda seen: not any(process.state == "Z" or "sleep" in process.command for process in seen),
    )


def running(container: Container, command: str) -> list[int]:
    """The pids of the processes with this command, without pyinit."""
    return [process.pid for process in await_no_zombie(container)[1:] if process.command.endswith(command)]


def children(container: Container, parent: int) -> list[str]:
    """The last word of each child's command."""
    return sorted(process.command.split()[-1] for process in await_no_zombie(container) if process.parent == parent)


def test_docker_stop_ends_the_programs_in_their_order_and_their_orphans_last(containers: Containers) -> None:
    """All save their work. supervisord stops one program after the other, then pyinit stops the orphaned daemon."""
    container = start(containers)
    assert children(container, 1) == ["/etc/supervisord.conf", "helper"]
    end = stopped(container)
    assert (end.status, end.errors) == (0, "")
    assert read_file(container, JOURNAL) == "worker: saved\nstore: saved\nhelper: saved\n"


def test_tini_loses_the_orphans_of_the_programs(containers: Containers, under_tini: dict[str, Any]) -> None:
    """Control for the test above: the container ends with supervisord."""
    container = start(containers, *IN_THE_FOREGROUND, **under_tini)
    assert stopped(container).status == 0
    assert read_file(container, JOURNAL) == "worker: saved\nstore: saved\n"


def test_supervisord_in_the_background_ends_its_programs_in_their_order(containers: Containers) -> None:
    """After the foreground program has exited, supervisord gets TERM, and stops its programs. Their orphan gets TERM at
    the same time."""
    container = start(containers, *WITH_TAIL, environment={"PYINIT_DRAIN_TIMEOUT": "20"})
    end = stopped(container)
    assert (end.status, end.errors) == (143, ""), end
    saved = read_file(container, JOURNAL).splitlines()
    assert sorted(saved) == ["helper: saved", "store: saved", "worker: saved"]
    assert [line for line in saved if "helper" not in line] == ["worker: saved", "store: saved"]


def test_tini_loses_the_programs_of_a_supervisord_in_the_background(
    containers: Containers, under_tini: dict[str, Any]
) -> None:
    """Control for the test above: supervisord never gets TERM."""
    container = start(containers, *WITH_TAIL, **under_tini)
    assert stopped(container).status == 143
    with pytest.raises(NotFound):
        read_file(container, JOURNAL)


def test_hup_restarts_the_programs(containers: Containers) -> None:
    """supervisord keeps its pid. An orphan is not one of its programs, and keeps running, too."""
    container = start(containers)
    [supervisord] = running(container, "supervisord.conf")
    before = running(container, "store") + running(container, "worker")
    container.kill("HUP")
    await_ready(container, 6)
    assert read_file(container, JOURNAL) == "worker: saved\nstore: saved\n"
    assert running(container, "supervisord.conf") == [supervisord]
    after = running(container, "store") + running(container, "worker")
    assert not set(before) & set(after), (before, after)
    assert children(container, supervisord) == ["store", "worker"]
    assert children(container, 1) == ["/etc/supervisord.conf", "helper", "helper"]


def test_supervisorctl_restarts_one_program(containers: Containers) -> None:
    """The program can save its work. The other program keeps running."""
    container = start(containers)
    store = running(container, "store")
    worker = running(container, "worker")
    assert execute(container, "supervisorctl", "restart", "worker") == "worker: stopped\nworker: started\n"
    await_ready(container, 5)
    assert read_file(container, JOURNAL) == "worker: saved\n"
    assert running(container, "store") == store
    [restarted] = running(container, "worker")
    assert restarted not in worker


def test_programs_of_a_killed_supervisord_save_their_work(containers: Containers) -> None:
    """pyinit sends them TERM, gives them time, and reports it."""
    container = start(containers)
    [supervisord] = running(container, "supervisord.conf")
    container.exec_run(["sh", "-c", f"kill -KILL {supervisord}"], detach=True)
    end = ended(container)
    assert end.status == 137, end
    line = rf"pyinit: supervisord \(pid {supervisord}\) was killed by SIGKILL .*; 3 stragglers ended .*\n"
    assert re.fullmatch(line, end.errors), end
    assert sorted(read_file(container, JOURNAL).splitlines()) == ["helper: saved", "store: saved", "worker: saved"]
