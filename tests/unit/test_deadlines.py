"""What is to be done later."""

import time

import pytest

from pyinit.schedule import Deadlines


def test_with_nothing_to_do_there_is_no_deadline() -> None:
    """The loop then sleeps until a signal comes."""
    deadlines = Deadlines()
    deadlines.meet()
    assert deadlines.remaining() is None


def test_the_nearest_counts_and_is_done_once() -> None:
    """The other one stays."""
    deadlines = Deadlines()
    done = []
    deadlines.set(lambda: done.append("late"), 100)
    deadlines.set(lambda: done.append("now"), 0)
    assert deadlines.remaining() == 0
    deadlines.meet()
    deadlines.meet()
    assert done == ["now"]
    assert 90 < (deadlines.remaining() or 0) <= 100


def test_an_action_can_be_moved_and_cancelled() -> None:
    """It has one time, the last that was set."""
    deadlines = Deadlines()
    done: list[int] = []

    def action() -> None:
        done.append(1)

    deadlines.set(action, 0)
    deadlines.set(action, 100)
    deadlines.meet()
    deadlines.cancel(action)
    deadlines.cancel(action)
    assert (done, deadlines.remaining()) == ([], None)


def test_an_action_may_set_itself_anew_and_cancel_another() -> None:
    """It is not done again in the same turn."""
    deadlines = Deadlines()
    done = []

    def again() -> None:
        done.append("again")
        deadlines.set(again, 0)
        deadlines.cancel(other)

    def other() -> None:
        done.append("other")

    deadlines.set(again, 0)
    deadlines.set(other, 0)
    deadlines.meet()
    assert done == ["again"]
    assert deadlines.remaining() == 0


def test_an_action_that_fails_stays_due() -> None:
    """Memory may be short now, and not in the next turn."""
    deadlines = Deadlines()
    failures = [MemoryError()]

    def action() -> None:
        if failures:
            raise failures.pop()

    deadlines.set(action, 0)
    with pytest.raises(MemoryError):
        deadlines.meet()
    assert deadlines.remaining() == 0
    deadlines.meet()
    assert deadlines.remaining() is None


def test_the_time_that_remains_goes_down() -> None:
    """And never below nothing."""
    deadlines = Deadlines()
    deadlines.set(lambda: None, 0.05)
    first = deadlines.remaining()
    time.sleep(0.06)
    assert first is not None and first > 0 and deadlines.remaining() == 0
