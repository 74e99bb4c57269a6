"""The stages of the end, without processes."""

import signal
import time

import pytest

from pyinit.ending import stragglers as everyone
from pyinit.ending.stages import Shutdown
from pyinit.kernel import procfs
from pyinit.options.settings import Options
from pyinit.reporting.log import Log
from pyinit.schedule import Deadlines


def test_who_was_brought_in_hears_of_the_end_of_a_stay_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like docker exec: processes that PID 1 reaches and does not wait for."""
    sent: list[tuple[int, ...]] = []
    monkeypatch.setattr("posix.getpid", lambda: 1)
    monkeypatch.setattr(everyone, "send", lambda log, *numbers: sent.append(numbers))
    chosen = Options()
    chosen.wait_for = "all"
    shutdown = Shutdown(2**22 + 1, chosen, Deadlines(), Log())
    shutdown.workload_ended(nobody_is_left=False)
    assert (shutdown.stage, sent) == ("staying", [])
    shutdown.all_ended()
    assert shutdown.is_over
    assert sent == [(signal.SIGTERM, signal.SIGCONT)]


def test_memory_that_is_short_does_not_keep_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cannot be listed or signalled: the next deadline is set already."""

    def fail(*_: object) -> list[procfs.Process]:
        raise MemoryError

    deadlines, log = Deadlines(), Log()
    chosen = Options()
    chosen.drain_timeout = 0.001
    monkeypatch.setattr(everyone, "living", fail)
    monkeypatch.setattr(everyone, "send", fail)
    monkeypatch.setattr(everyone, "can_be_reached", lambda: True)
    monkeypatch.setattr("pyinit.ending.stages._AFTER_KILL", 0.2)
    shutdown = Shutdown(2**22 + 1, chosen, deadlines, log)
    shutdown.workload_ended(nobody_is_left=False)
    seen = [shutdown.stage]
    limit = time.monotonic() + 30
    while not shutdown.is_over and time.monotonic() < limit:
        time.sleep(deadlines.remaining() or 0)
        deadlines.meet()
        seen.append(shutdown.stage)
    assert seen[0] == "draining" and "killing" in seen and seen[-1] == "over"
    assert not shutdown.has_killed
