"""A family that shows in which order it was asked to end, with a pyinit that lacks something."""

import subprocess
import time
from collections.abc import Callable, Sequence

import pytest

from testing.namespaces import IN_TIME, Container, Ended

from ..conftest import Start
from ..family import Family, assert_said, await_ready, lines

MEMBERS = """main line 7 {
    master await { pool finish 0.8 }
    shrug ignore { child save 0.3 }
    writer write 10 0.05 | filter filter 0.06
}"""

IN_ORDER = [
    *("master TERM", "pool saved", "master saved"),
    *("child TERM", "child saved", "shrug saved"),
    *("writer TERM", "writer saved", *lines("filter", 10), "filter saved"),
]
"""Their output if they are asked in the right order: nothing is lost."""

AT_ONCE = [*("master TERM", "master saved"), *("child TERM", "child saved", "shrug saved"), "writer TERM"]
"""Their output if all are asked at once: pool and filter die, and then the writer, of SIGPIPE."""

DOCKER = "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,sys_chroot,mknod"
"""Docker's default capabilities, except for two that no test needs. SYS_PTRACE is not among them."""

WITH_CAPABILITIES_OF_DOCKER = [
    "setpriv",
    "--inh-caps=-all",
    "--bounding-set=-all," + ",".join(f"+{name}" for name in DOCKER.split(",")),
]

WITHOUT_KILL = ["setpriv", "--inh-caps=-kill", "--bounding-set=-kill"]

SUBREAPER = ["sh", "-c", '"$@"; echo "over $?"; read line', "sh"]
"""A shell is PID 1 and starts pyinit as pid 2. When pyinit has ended, the shell stays until it reads a line."""


def end_in_order(container: Container, said: Sequence[str] = IN_ORDER) -> Ended:
    """Have `main` exit; check that the others say this, long before a drain timeout of 60 s makes pyinit ask them."""
    begin = time.monotonic()
    container.say()
    ended = container.end()
    assert_said(ended, 7, said)
    assert time.monotonic() - begin < 20
    return ended


Ready = Callable[..., Container]


@pytest.fixture
def ready(start: Start, family: Family) -> Ready:
    """Start pyinit with options and such a family; return when all its members are ready.

    ``around`` are words to put before the family. `main` exits with 7 when it gets a line.
    """

    def ready(*options: str, around: Sequence[str] = (), before: Sequence[str] = (), **popen: object) -> Container:
        words = ["--drain-timeout=60", *options, "--", *around, *family.words(MEMBERS)]
        container = start(*words, stdin=subprocess.PIPE, before=[*IN_TIME, *before], **popen)
        await_ready(container, "main", "master", "pool", "shrug", "child", "writer", "filter")
        return container

    return ready
