"""supervisord as the workload: it ends its programs in their order, and who is none of its own has pyinit."""

import re
from typing import Any

import pytest
from docker.errors import NotFound
from docker.models.containers import Container

from testing.containers import Containers, Process, ended, execute, processes, read_file, stopped
from testing.waiting import eventually

JOURNAL = "/home/app/journal"
IN_THE_FOREGROUND = ("supervisord", "-n", "-c", "/etc/supervisord.conf")
# A supervisord in the background has no standard output that its programs could write to: they have that of PID 1.
BEHIND_TAIL = (
    *("sh", "-c"),
    "sed s,/dev/fd/1,/proc/1/fd/1, /etc/supervisord.conf >/tmp/conf; supervisord -c /tmp/conf; exec tail -f /dev/null",
)


def start(containers: Containers, *command: str, **options: Any) -> Container:
    """A container whose two programs are ready, and the daemon that one of them has left behind."""
    container = containers.start(*command, **options)
    await_ready(container, 3)
    return container


def await_ready(container: Container, number: int) -> None:
    """Return when so many processes have said that they are ready."""
    eventually(lambda: container.logs().decode(), holds=lambda said: said.count(": ready\n") == number)


def await_no_zombie(container: Container) -> list[Process]:
    """What runs, once there is no zombie and the short tasks of the worker have gone."""
    return eventually(
        lambda: processes(container),
        holds=lambda seen: not any(process.state == "Z" or "sleep" in process.command for process in seen),
    )


def running(container: Container, command: str) -> list[int]:
    """The pids of that command, pyinit aside."""
    return [process.pid for process in await_no_zombie(container)[1:] if process.command.endswith(command)]


def children(container: Container, parent: int) -> list[str]:
    """The last words of the commands of its children."""
    return sorted(process.command.split()[-1] for process in await_no_zombie(container) if process.parent == parent)


def test_docker_stop_ends_the_programs_in_their_order_and_their_orphans_last(containers: Containers) -> None:
    """Each saves its work: supervisord asks one program after the other, pyinit the daemon that one has left behind."""
    container = start(containers)
    assert children(container, 1) == ["/etc/supervisord.conf", "helper"]
    end = stopped(container, timeout=30)
    assert (end.status, end.errors) == (0, "")
    assert read_file(container, JOURNAL) == "worker: saved\nstore: saved\nhelper: saved\n"


def test_tini_loses_what_the_programs_have_left_behind(containers: Containers, under_tini: dict[str, Any]) -> None:
    """The check of the test above: the end of supervisord is the end of the container."""
    container = start(containers, *IN_THE_FOREGROUND, **under_tini)
    assert stopped(container, timeout=30).status == 0
    assert read_file(container, JOURNAL) == "worker: saved\nstore: saved\n"


def test_supervisord_in_the_background_ends_its_programs_in_their_order(containers: Containers) -> None:
    """It is asked when the foreground program has ended, its programs are left to it; their orphan is asked at once."""
    container = start(containers, *BEHIND_TAIL, environment={"PYINIT_DRAIN_TIMEOUT": "20"})
    end = stopped(container, timeout=30)
    assert (end.status, end.errors) == (143, ""), end
    saved = read_file(container, JOURNAL).splitlines()
    assert sorted(saved) == ["helper: saved", "store: saved", "worker: saved"]
    assert [line for line in saved if "helper" not in line] == ["worker: saved", "store: saved"]


def test_tini_loses_all_of_a_supervisord_in_the_background(containers: Containers, under_tini: dict[str, Any]) -> None:
    """The check of the test above: nobody asks it."""
    container = start(containers, *BEHIND_TAIL, **under_tini)
    assert stopped(container, timeout=30).status == 143
    with pytest.raises(NotFound):
        read_file(container, JOURNAL)


def test_hup_restarts_the_programs(containers: Containers) -> None:
    """supervisord stays, with its pid; an orphan is no program of its, and stays as well."""
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
    """It may save its work; the other goes on."""
    container = start(containers)
    store = running(container, "store")
    worker = running(container, "worker")
    assert execute(container, "supervisorctl", "restart", "worker") == "worker: stopped\nworker: started\n"
    await_ready(container, 5)
    assert read_file(container, JOURNAL) == "worker: saved\n"
    assert running(container, "store") == store
    [restarted] = running(container, "worker")
    assert restarted not in worker


def test_programs_of_a_supervisord_that_was_killed_save_their_work(containers: Containers) -> None:
    """They get TERM and time from pyinit, which tells what has happened."""
    container = start(containers)
    [supervisord] = running(container, "supervisord.conf")
    container.exec_run(["sh", "-c", f"kill -KILL {supervisord}"], detach=True)
    end = ended(container)
    assert end.status == 137, end
    line = rf"pyinit: supervisord \(pid {supervisord}\) was killed by SIGKILL .*; 3 stragglers ended .*\n"
    assert re.fullmatch(line, end.errors), end
    assert sorted(read_file(container, JOURNAL).splitlines()) == ["helper: saved", "store: saved", "worker: saved"]
