"""Processes from ``docker exec``: asked to end, not waited for, and never readers."""

import subprocess
import time

import pytest

from testing.namespaces import Container

from ..conftest import Start
from ..family import Family, assert_said, await_ready


class Visitor(Container):
    """A program started in a container from outside; if `is_fed`, its input is a pipe."""

    def __init__(self, container: Container, words: list[str], is_fed: bool) -> None:
        super().__init__([*container.enter, *words], stdin=subprocess.PIPE if is_fed else subprocess.DEVNULL)

    def kill(self) -> None:
        """Kill the command that entered. The program inside ends with the container."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()


OF_ALL_KINDS = [
    ("save 0.2", 0, ["visitor TERM", "visitor saved"]),
    ("die", -15, []),
    ("save 60", -9, ["visitor TERM"]),
    ("deaf", -9, []),
]
READS: tuple[str, int, list[str]] = ("filter 0.1", -15, [])
"""With ``-i`` it reads a pipe whose writer is the engine's command line tool."""


@pytest.mark.parametrize(
    ("is_fed", "behaviour", "status", "said"),
    [*[(False, *kind) for kind in OF_ALL_KINDS], *[(True, *kind) for kind in [*OF_ALL_KINDS, READS]]],
)
def test_a_process_from_outside_is_asked_at_once_and_not_waited_for(
    start: Start, family: Family, is_fed: bool, behaviour: str, status: int, said: list[str]
) -> None:
    """pyinit exits with the last straggler, which takes long enough for the visitor to end by itself."""
    container = start("--drain-timeout=60", "--", *family.words("main line 7 { worker save 4 }"), stdin=-1)
    await_ready(container, "main", "worker")
    with Visitor(container, family.words(f"visitor {behaviour}"), is_fed) as visitor:
        await_ready(visitor, "visitor")
        begin = time.monotonic()
        container.say()
        ended = container.end()
        assert time.monotonic() - begin < 4 + 20
        assert_said(ended, 7, ["worker TERM", "worker saved"])
        assert_said(visitor.end(), status, said)


@pytest.mark.parametrize("option", ["--wait-for=main", "--wait-for=all"])
@pytest.mark.parametrize("behaviour", ["deaf", "save 60", "filter 0.1"])
def test_there_is_no_wait_if_only_a_process_from_outside_is_left(
    start: Start, family: Family, behaviour: str, option: str
) -> None:
    """It ends with the container."""
    container = start("--drain-timeout=60", option, "--", *family.words("main line 7"), stdin=-1)
    await_ready(container, "main")
    with Visitor(container, family.words(f"visitor {behaviour}"), is_fed=True) as visitor:
        await_ready(visitor, "visitor")
        begin = time.monotonic()
        container.say()
        ended = container.end()
        assert time.monotonic() - begin < 20
        assert (ended.status, ended.out, ended.err) == (7, "", "")
