"""The end if pyinit lacks capabilities (capabilities(7)) or descriptors."""

import re
import shlex
import subprocess
import time

import pytest

from ..conftest import Start
from ..family import Family, assert_said, await_ready
from .conftest import AT_ONCE, IN_ORDER, SUBREAPER, WITH_CAPABILITIES_OF_DOCKER, WITHOUT_KILL, Ready, end_in_order


def test_readers_of_another_user_are_spared(ready: Ready) -> None:
    """With Docker's default capabilities root may not see their descriptors, but pyinit can look as that user."""
    end_in_order(ready("--user=1010:1011", before=WITH_CAPABILITIES_OF_DOCKER))


@pytest.mark.parametrize("place", ["PID 1", "subreaper"])
def test_without_cap_kill_the_others_are_asked_and_the_end_comes_in_time(
    start: Start, family: Family, place: str
) -> None:
    """A process of another user cannot be signalled: a warning names it, and pyinit exits after the drain timeout."""
    foreign_one = shlex.join(family.words("foreign save 0.1"))
    others = shlex.join(family.words("main line 7 { mine save 0.3 }"))
    words = ["sh", "-c", f"setpriv --reuid=1002 --regid=1002 --clear-groups {foreign_one} & exec {others}"]
    before = [*(SUBREAPER if place == "subreaper" else []), *WITHOUT_KILL]
    container = start("--drain-timeout=1.5", "--", *words, before=before, stdin=subprocess.PIPE)
    foreign = await_ready(container, "foreign", "main", "mine")["foreign"]
    begin = time.monotonic()
    container.say()
    if place == "subreaper":
        assert [container.hear() for _ in range(3)] == ["mine TERM from 2", "mine saved", "over 7"]
        took = time.monotonic() - begin
        container.say()
        ended = container.end()
        assert ended.out == "", ended
    else:
        ended = container.end()
        took = time.monotonic() - begin
        assert_said(ended, 7, ["mine TERM", "mine saved"])
    assert 1.5 <= took < 20, ended
    for name in ("SIGTERM", "SIGKILL"):
        message = f"cannot send {name} to foreign (pid {foreign}): Operation not permitted\n"
        assert ended.err.count(message) == 1, ended


LIMITED = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]
"""As in a container: root may not raise its own limits again."""


@pytest.mark.parametrize(("limit", "said"), [(4, IN_ORDER), (3, IN_ORDER), (0, AT_ONCE)])
def test_a_workload_that_takes_descriptors_away_changes_no_order(ready: Ready, limit: int, said: list[str]) -> None:
    """By giving up standard input pyinit can read /proc. If it can open nothing at all, it acts as without /proc."""
    take = f'prlimit --pid=$PPID --nofile={limit}:{limit} && exec "$@"'
    ended = end_in_order(ready(around=["sh", "-c", take, "sh"], before=LIMITED), said)
    assert not re.search("Traceback|carrying on", ended.err), ended
