"""The schedule of deadlines."""

import time

import pytest

from pyinit.schedule import Schedule


def test_an_empty_schedule_has_no_deadline() -> None:
    """The loop then sleeps until a signal arrives."""
    schedule = Schedule()
    schedule.run_due()
    assert schedule.remaining() is None


def test_the_nearest_action_is_run_once() -> None:
    """A later one stays in the schedule."""
    schedule = Schedule()
    done = []
    schedule.set(lambda: done.append("late"), 100)
    schedule.set(lambda: done.append("now"), 0)
    assert schedule.remaining() == 0
    schedule.run_due()
    schedule.run_due()
    assert done == ["now"]
    assert 90 < (schedule.remaining() or 0) <= 100


def test_an_action_can_be_moved_and_cancelled() -> None:
    """An action has one time: the last one that was set."""
    schedule = Schedule()
    done: list[int] = []

    def action() -> None:
        done.append(1)

    schedule.set(action, 0)
    schedule.set(action, 100)
    schedule.run_due()
    schedule.cancel(action)
    schedule.cancel(action)
    assert (done, schedule.remaining()) == ([], None)


def test_an_action_may_set_itself_again_and_cancel_another() -> None:
    """It is not run again in the same turn."""
    schedule = Schedule()
    done = []

    def again() -> None:
        done.append("again")
        schedule.set(again, 0)
        schedule.cancel(other)

    def other() -> None:
        done.append("other")

    schedule.set(again, 0)
    schedule.set(other, 0)
    schedule.run_due()
    assert done == ["again"]
    assert schedule.remaining() == 0


def test_an_action_that_lacks_memory_is_run_again_a_moment_later() -> None:
    """Memory may be short now, but not then. Signals get their turn meanwhile."""
    schedule = Schedule()
    failures = [MemoryError()]

    def action() -> None:
        if failures:
            raise failures.pop()

    schedule.set(action, 0)
    before = time.monotonic()
    with pytest.raises(MemoryError):
        schedule.run_due()
    remaining = schedule.remaining()
    assert remaining is not None and remaining < 1
    assert remaining > 0 or time.monotonic() - before > 0.04
    time.sleep(remaining)
    schedule.run_due()
    assert schedule.remaining() is None


def test_an_action_that_fails_otherwise_is_run_again_a_second_later() -> None:
    """If it ran in every turn, every turn would fail."""
    schedule = Schedule()

    def action() -> None:
        raise OSError

    schedule.set(action, 0)
    before = time.monotonic()
    with pytest.raises(OSError):
        schedule.run_due()
    remaining = schedule.remaining()
    assert remaining is not None and remaining <= 1
    assert remaining + time.monotonic() - before > 0.9


def test_an_action_that_fails_does_not_keep_another_from_being_run() -> None:
    """So the shutdown goes on, even if another action fails."""
    schedule = Schedule()
    done: list[int] = []

    def fail() -> None:
        raise MemoryError

    schedule.set(fail, 0)
    schedule.set(lambda: done.append(1), 0)
    with pytest.raises(MemoryError):
        schedule.run_due()
    assert done == [1]


def test_the_remaining_time_decreases() -> None:
    """It is never negative."""
    schedule = Schedule()
    schedule.set(lambda: None, 0.5)
    first = schedule.remaining()
    time.sleep(0.51)
    assert first is not None and first > 0 and schedule.remaining() == 0


def test_set_unless_set_keeps_an_earlier_time() -> None:
    """Otherwise the action could be postponed again and again."""
    schedule = Schedule()
    done: list[int] = []

    def action() -> None:
        done.append(1)

    schedule.set_unless_set(action, 0)
    schedule.set_unless_set(action, 100)
    schedule.run_due()
    assert (done, schedule.remaining()) == ([1], None)
