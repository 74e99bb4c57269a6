"""The waitid loop in race conditions that cannot be provoked with the real kernel."""

import os
import signal
import subprocess
import time

import pytest

from pyinit.account import Account
from pyinit.reaper import Reaper
from pyinit.reporting.log import Log


def account_of(pid: int) -> Account:
    """The account of a workload with this pid."""
    return Account(pid, "app", time.monotonic(), False, {})


@pytest.mark.parametrize("measures_usage", [False, True])
def test_a_stopped_child_that_is_killed_between_the_peek_and_the_wait_is_reaped_as_killed(
    monkeypatch: pytest.MonkeyPatch, measures_usage: bool
) -> None:
    """The peek has seen a stop, but the wait returns the newer state."""
    waitid = os.waitid
    child = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60")

    def kill_after(kind: int, pid: int, options: int) -> object:
        found = waitid(kind, pid, options)
        if found is not None and found.si_code == os.CLD_STOPPED:
            os.kill(child, signal.SIGKILL)
            waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        return found

    os.kill(child, signal.SIGSTOP)
    waitid(os.P_PID, child, os.WSTOPPED | os.WNOWAIT)
    monkeypatch.setattr("posix.waitid", kill_after)
    account = account_of(child)
    reaper = Reaper(account, Log(), names_orphans=True)
    if measures_usage:
        reaper.measure_usage()
    assert not reaper.reap()
    assert account.ending is not None and account.ending.wait_status == signal.SIGKILL
    assert reaper.is_childless and not reaper.stopped_by


def test_an_orphan_that_ends_between_the_peek_and_the_wait_has_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process is reaped only after a peek. The orphan's SIGCHLD is pending, so the next turn reads its name."""
    waitid = os.waitid
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]  # returns after the exec
    children = [process.pid for process in processes]
    reaped: list[tuple[int, str | None]] = []

    def kill_after(kind: int, pid: int, options: int) -> object:
        found = waitid(kind, pid, options)
        if found is None and not reaped:
            for child in children:
                os.kill(child, signal.SIGKILL)
                waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        return found

    monkeypatch.setattr("posix.waitid", kill_after)
    monkeypatch.setattr(Log, "warning", lambda *_, pid, name: reaped.append((pid, name)))
    account = account_of(2**22 + 1)
    reaper = Reaper(account, Log(), names_orphans=True)
    assert not reaper.reap()
    assert (account.orphans, reaper.is_childless) == (0, False)
    assert not reaper.reap()
    assert (account.orphans, account.ending, reaper.is_childless) == (2, None, True)
    assert sorted(reaped) == [(child, "sleep") for child in sorted(children)]
    for process in processes:  # subprocess does not know that they were reaped
        process.returncode = -signal.SIGKILL
