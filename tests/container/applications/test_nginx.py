"""nginx and php-fpm, both in the background: a slow request is answered, or cut off, as the signal says."""

from http.client import HTTPException
from typing import Any

from docker.models.containers import Container

from testing.containers import Containers, ended, processes
from testing.waiting import eventually

from .web import PUBLISHED, await_reaped_orphan, begin, port_of, rest_of

BEHIND_TAIL = ("sh", "-c", "start && exec tail -f /dev/null")


def start(containers: Containers, *command: str, **options: Any) -> Container:
    """An nginx that serves what PHP answers; the command is that of the image if there is none."""
    container = containers.start(*command, **PUBLISHED, **options)
    eventually(lambda: answers(container))
    return container


def answers(container: Container) -> bool:
    """Is a request answered whole?"""
    try:
        return rest_of(begin(port_of(container))) == "goodbye\n"
    except (OSError, HTTPException, AssertionError):
        return False


def await_masters(container: Container) -> None:
    """Return when the script has ended, and pyinit has the two masters as children."""
    eventually(
        lambda: sorted(process.command.split(":")[0] for process in processes(container) if process.parent == 1),
        holds=lambda seen: seen == ["nginx", "php-fpm"],
    )


def test_docker_stop_lets_a_slow_request_finish(containers: Containers) -> None:
    """Each master hears QUIT in place of TERM, and its workers from it; the status is that of the script, 0."""
    container = start(containers)
    await_masters(container)
    await_reaped_orphan(container)
    answer = begin(port_of(container), 2)
    container.stop(timeout=40)
    rest, end = rest_of(answer), ended(container)
    assert rest == "goodbye\n", (rest, end)
    assert (end.status, "pyinit:" in end.errors) == (0, False), end


def test_tini_cuts_off_a_slow_request(containers: Containers, under_tini: dict[str, Any]) -> None:
    """It needs a foreground program, and the end of that is the end of the container."""
    container = start(containers, *BEHIND_TAIL, **under_tini)
    answer = begin(port_of(container), 20)
    container.stop(timeout=40)
    assert rest_of(answer).startswith("cut off: ")
    assert ended(container).status == 143


def test_term_cuts_off_a_slow_request(containers: Containers) -> None:
    """Behind a foreground program both are sent TERM, which is their fast shutdown: the drain cannot change that."""
    container = start(containers, *BEHIND_TAIL, environment={"PYINIT_WAIT_FOR": "main", "PYINIT_REWRITE": ""})
    answer = begin(port_of(container), 20)
    container.stop(timeout=40)
    assert rest_of(answer).startswith("cut off: ")
    assert ended(container).status == 143


def test_request_that_takes_too_long_is_cut_off(containers: Containers) -> None:
    """By the stop timeout, which ends both; the status stays that of the script."""
    container = start(containers, environment={"PYINIT_STOP_TIMEOUT": "1"})
    await_masters(container)
    answer = begin(port_of(container), 100)
    container.stop(timeout=40)
    assert rest_of(answer).startswith("cut off: ")
    assert ended(container).status == 0
