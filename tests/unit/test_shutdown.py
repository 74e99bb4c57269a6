"""The stages of the shutdown, without processes."""

import builtins
import signal
import time
from contextlib import suppress

import pytest

from pyinit.account import Account
from pyinit.ending import asking, stragglers
from pyinit.ending.stages import Shutdown
from pyinit.options.settings import Settings
from pyinit.reporting.log import Log
from pyinit.schedule import Schedule


def account_of_nothing() -> Account:
    """The account of a workload that has exited, with a pid that does not exist."""
    account = Account(2**22 + 1, "app", time.monotonic(), False, {})
    account.end_workload(0)
    return account


def test_a_process_from_outside_gets_sigterm_at_the_end_of_wait_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """For example one of docker exec: PID 1 can signal it, but does not wait for it."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr("posix.getpid", lambda: 1)
    monkeypatch.setattr("posix.kill", lambda pid, number: sent.append((pid, number)))
    settings = Settings()
    settings.wait_for = "all"
    account = account_of_nothing()
    shutdown = Shutdown(account, settings, Schedule(), Log())
    shutdown.workload_ended(none_is_left=False)
    assert (account.stage, sent) == ("staying", [])
    shutdown.all_ended()
    assert account.is_over
    assert sent == [(-1, signal.SIGTERM)]


def test_a_lack_of_memory_does_not_lose_the_stop_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends a stay, and is tried again if the modules for that cannot be loaded."""
    schedule, settings = Schedule(), Settings()
    settings.wait_for = "all"
    account = account_of_nothing()
    shutdown = Shutdown(account, settings, schedule, Log())
    shutdown.workload_ended(none_is_left=False)
    schedule.set(shutdown._run_out, 0)

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", fail)
        with suppress(MemoryError):
            schedule.run_due()
    assert account.stage == "staying"
    monkeypatch.setattr(stragglers, "can_be_reached", lambda: True)
    time.sleep(schedule.remaining() or 0)
    schedule.run_due()
    assert account.stage == "draining"


def test_a_lack_of_memory_does_not_prevent_the_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    """If processes cannot be listed or signalled, the next deadline has already been set."""

    def fail(*_: object) -> None:
        raise MemoryError

    schedule, log = Schedule(), Log()
    settings = Settings()
    settings.drain_timeout = 0.001
    for module, name in ((asking, "Tree"), (stragglers, "Tree"), (stragglers, "send"), (stragglers, "kill")):
        monkeypatch.setattr(module, name, fail)
    monkeypatch.setattr(stragglers, "can_be_reached", lambda: True)
    monkeypatch.setattr("pyinit.ending.stages._AFTER_KILL", 0.2)
    account = account_of_nothing()
    shutdown = Shutdown(account, settings, schedule, log)
    shutdown.workload_ended(none_is_left=False)
    seen = [account.stage]
    limit = time.monotonic() + 30
    while not account.is_over and time.monotonic() < limit:
        time.sleep(schedule.remaining() or 0)
        with suppress(MemoryError):  # the loop tries again
            schedule.run_due()
        seen.append(account.stage)
    assert seen[0] == "draining" and "killing" in seen and seen[-1] == "over"
    assert not account.has_killed
