"""The waitpid loop, where the kernel cannot be made to race."""

import os
import signal

import pytest

from pyinit.reaper import Reaper
from pyinit.reporting.log import Log


def test_a_child_that_is_killed_while_its_stop_is_looked_at_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """waitid(2) says ECHILD then, and that does not mean that there is no child at all."""
    waitid = os.waitid
    child = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60")

    def kill_between(kind: int, pid: int, options: int) -> object:
        if not options & os.WNOWAIT:
            os.kill(child, signal.SIGKILL)
            waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        return waitid(kind, pid, options)

    os.kill(child, signal.SIGSTOP)
    waitid(os.P_PID, child, os.WSTOPPED | os.WNOWAIT)
    monkeypatch.setattr("posix.waitid", kill_between)
    reaper = Reaper(child, Log(), warn=False, accounts=True)
    reaper.reap()
    assert reaper.wait_status == signal.SIGKILL
    assert reaper.is_childless
