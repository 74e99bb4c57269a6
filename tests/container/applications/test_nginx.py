"""nginx and php-fpm, both in the background: the signal decides whether a slow request is answered or cut off."""

from http.client import HTTPException
from typing import Any

from docker.models.containers import Container

from testing.containers import Containers, ended, processes
from testing.waiting import eventually

from .web import PUBLISHED, await_reaped_orphan, begin, port_of, rest_of

WITH_TAIL = ("sh", "-c", "start && exec tail -f /dev/null")


def start(containers: Containers, *command: str, **options: Any) -> Container:
    """Start nginx with php-fpm, and wait until it answers; the default command is the image's."""
    container = containers.start(*command, **PUBLISHED, **options)
    eventually(lambda: answers(container))
    return container


def answers(container: Container) -> bool:
    """Whether a request gets a complete answer."""
    try:
        return rest_of(begin(port_of(container))) == "goodbye\n"
    except (OSError, HTTPException, AssertionError):
        return False


def await_masters(container: Container) -> None:
    """Wait until the script has exited, and the two masters are children of pyinit."""
    eventually(
        lambda: sorted(process.command.split(":")[0] for process in processes(container) if process.parent == 1),
        holds=lambda seen: seen == ["nginx", "php-fpm"],
    )


def test_docker_stop_lets_a_slow_request_finish(containers: Containers) -> None:
    """Each master gets QUIT in place of TERM, and stops its workers. The status is the script's, 0."""
    container = start(containers)
    await_masters(container)
    await_reaped_orphan(container)
    answer = begin(port_of(container), 2)
    container.stop(timeout=40)
    rest, end = rest_of(answer), ended(container)
    assert rest == "goodbye\n", (rest, end)
    assert (end.status, "pyinit:" in end.errors) == (0, False), end


def test_tini_cuts_off_a_slow_request(containers: Containers, under_tini: dict[str, Any]) -> None:
    """tini needs a program in the foreground, and the container ends with that program."""
    container = start(containers, *WITH_TAIL, **under_tini)
    answer = begin(port_of(container), 20)
    container.stop(timeout=40)
    assert rest_of(answer).startswith("cut off: ")
    assert ended(container).status == 143


def test_term_cuts_off_a_slow_request(containers: Containers) -> None:
    """After the foreground program has exited, both get TERM, which is their fast shutdown. A drain cannot help."""
    container = start(containers, *WITH_TAIL, environment={"PYINIT_WAIT_FOR": "main", "PYINIT_REWRITE": ""})
    answer = begin(port_of(container), 20)
    container.stop(timeout=40)
    assert rest_of(answer).startswith("cut off: ")
    assert ended(container).status == 143


def test_request_that_takes_too_long_is_cut_off(containers: Containers) -> None:
    """The stop timeout kills nginx and php-fpm. The status is still the script's."""
    container = start(containers, environment={"PYINIT_STOP_TIMEOUT": "1"})
    await_masters(container)
    answer = begin(port_of(container), 100)
    container.stop(timeout=40)
    assert rest_of(answer).startswith("cut off: ")
    assert ended(container).status == 0
