"""The last exception handler: pyinit cannot go on, and has neither files nor descriptors left."""

import re
import signal
from pathlib import Path

import pytest

from testing import packages
from testing.namespaces import Ended
from testing.waiting import PATIENCE

from .conftest import KINDS, LIMITED, Begin, Installation

WATCHED = "trace=rt_sigtimedwait,open,openat,openat2,pread64,read,write,writev,mmap,exit_group"

REFUSED = "inject=rt_sigtimedwait:error=EINVAL:when=5+"
"""From the fifth on, waits for a signal fail. Without them pyinit cannot go on."""


@pytest.fixture(params=KINDS)
def given_up(
    request: pytest.FixtureRequest, begin: Begin, installations: dict[str, Installation], actor: str, tmp_path: Path
) -> tuple[Ended, list[str]]:
    """The end of a pyinit without files and descriptors that cannot wait, and its system calls from then on."""
    installation = installations[request.param]
    strace = packages.provide("strace", "strace")
    # Traced by a grandchild of its own (-D), it stays PID 1.
    traced = [strace, "-D", "-qq", "-s", "200", "-o", str(tmp_path / "trace"), "-e", WATCHED, "-e", REFUSED]
    acts = ["take-descriptors", "0", "delete", str(installation.home), "block", "say", "ready"]
    for number in range(6):  # each is a turn of the loop
        acts += ["send", str(int(signal.SIGRTMIN) + number), "delay", "20"]
    before = [*installation.own_copy(), *LIMITED, *traced]
    ended = begin(installation, "--", actor, *acts, "pause", before=before).end(4 * PATIENCE)
    calls = (tmp_path / "trace").read_text().splitlines()
    first = [number for number, call in enumerate(calls) if "(INJECTED)" in call]
    assert first, f"no wait failed: {ended}, {calls[-20:]}"
    return ended, calls[first[0] :]


def test_it_says_one_line_and_ends_with_125(given_up: tuple[Ended, list[str]]) -> None:
    """125 is pyinit's own status. (Before that, the loop may have said that it carries on.)"""
    ended, _ = given_up
    lines = [line for line in ended.err.splitlines() if not line.startswith("pyinit: carrying on after ")]
    assert ended.status == 125, ended
    assert len(lines) == 1 and re.fullmatch("pyinit: cannot .*Invalid argument.*", lines[0]), ended


def test_nothing_is_imported_for_it(given_up: tuple[Ended, list[str]]) -> None:
    """No file is opened or read. It only writes lines and exits."""
    _, calls = given_up
    calls = [call for call in calls if not call.startswith(("rt_sigtimedwait(", "mmap(NULL"))]
    names = [call.partition("(")[0] for call in calls]
    assert set(names[:-1]) == {"write"}, "\n".join(calls)
    assert calls[-1].startswith("exit_group(125)"), "\n".join(calls)
