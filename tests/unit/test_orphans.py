"""Live orphans that are ended, with children of this process in their place."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from pyinit.account import Account
from pyinit.ending import stragglers
from pyinit.ending.orphans import Orphans
from pyinit.kernel import procfs
from pyinit.reporting.log import Log
from pyinit.schedule import Schedule

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The pids and signals that are sent; the processes do not get them."""
    sent: list[tuple[int, int]] = []

    def ask(member: procfs.Process, number: int, _: Log) -> bool:
        sent.append((member.pid, number))
        return True

    monkeypatch.setattr(stragglers, "ask", ask)
    return sent


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start an orphan; each is ended after the test."""
    alive: list[int] = []
    monkeypatch.setattr(procfs, "children", lambda: list(alive))
    with ExitStack() as stack:

        def start() -> "subprocess.Popen[bytes]":
            orphan = stack.enter_context(subprocess.Popen(["sleep", "60"]))
            stack.callback(orphan.kill)
            alive[:] = [orphan.pid]
            return orphan

        yield start


def orphans_of(account: Account, grace: float) -> Orphans:
    return Orphans(account, grace, Schedule(), Log())


def account_of(pid: int) -> Account:
    """The account of a workload."""
    return Account(pid, "app", time.monotonic(), False, {})


def test_orphans_that_have_ended_are_forgotten(start: Start, sent: list[tuple[int, int]]) -> None:
    """PID 1 runs for months."""
    account = account_of(os.getpid())
    orphans = orphans_of(account, 60)
    pids = []
    for _ in range(5):
        orphan = start()
        pids.append(orphan.pid)
        orphans.end()
        assert [pid for pid, _ in account.asked] == [orphan.pid]
        orphan.kill()
        orphan.wait()
    assert sent == [(pid, signal.SIGTERM) for pid in pids]


def test_an_orphan_that_cannot_be_looked_at_for_a_moment_is_not_asked_again(
    start: Start, sent: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it get more time."""
    account = account_of(os.getpid())
    orphans = orphans_of(account, 0)
    orphan = start()
    orphans.end()
    with monkeypatch.context() as patched:
        patched.setattr(procfs, "process", lambda _: None)
        orphans.end()
    orphans.end()
    assert sent == [(orphan.pid, signal.SIGTERM), (orphan.pid, signal.SIGKILL)]


def test_what_a_workload_has_left_is_not_asked_before_its_end_is_known(
    start: Start, sent: list[tuple[int, int]]
) -> None:
    """It has ended since pyinit reaped: the drain will ask in order, and spare readers."""
    workload = os.fork() or os._exit(0)
    os.waitid(os.P_PID, workload, os.WEXITED | os.WNOWAIT)
    account = account_of(workload)
    orphans = orphans_of(account, 60)
    orphan = start()
    orphans.end()
    assert sent == []
    _, status = os.waitpid(workload, 0)
    account.end_workload(status)
    orphans.end()
    assert sent == [(orphan.pid, signal.SIGTERM)]
