"""Zombies, and the verdict on the processes that did not wait for them."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from pyinit.ctl import ages
from pyinit.kernel import procfs
from pyinit.reporting import zombies

NOT_WAITED = "that it has not waited for"


@pytest.fixture
def zombie() -> Iterator[procfs.Process]:
    """A child of ours that has exited."""
    pid = os.fork() or os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    found = procfs.process(pid)
    assert found is not None
    yield found
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return


def neglect_of(pid: int, count: int, is_traced: bool = False) -> zombies.Neglect:
    """`count` zombies that `pid` has not waited for. It does not matter which ones."""
    me = procfs.process(os.getpid())
    assert me is not None
    found = zombies.Neglect(pid, is_traced)
    found.zombies.extend([me] * count)
    return found


def test_the_verdict_is_a_sentence() -> None:
    """It has the process, the number of zombies, their age, and advice."""
    me = os.getpid()
    said = zombies.verdict(neglect_of(me, 15), "python worker.py", "3m")
    advice = "it should call wait() or join(), or handle SIGCHLD"
    assert said == f"python worker.py (pid {me}) has 15 children {NOT_WAITED}, the oldest for 3m: {advice}"
    said = zombies.verdict(neglect_of(me, 1), "w", "at most 2.0s")
    assert said == f"w (pid {me}) has 1 child {NOT_WAITED}, for at most 2.0s: {advice}"


@pytest.mark.parametrize(("count", "what"), [(1, "1 zombie"), (2, "2 zombies")])
def test_the_advice_for_a_tracer_is_to_end_the_tracing(count: int, what: str) -> None:
    """Its zombies are children of other processes."""
    me = os.getpid()
    since = "for 1.0s" if count == 1 else "the oldest for 1.0s"
    assert zombies.verdict(neglect_of(me, count, is_traced=True), "strace", "1.0s") == (
        f"strace (pid {me}) traces {what} {NOT_WAITED}, {since}: "
        "a parent can wait only after the tracer, so end the tracing"
    )


def test_a_parent_outside_of_the_namespace_has_no_name() -> None:
    """/proc shows its pid as 0."""
    assert zombies.verdict(neglect_of(0, 1), "whatever", "5ms") == (
        f"a process outside of this PID namespace has 1 child {NOT_WAITED}, for 5ms: "
        "the container engine started it (docker exec) and has to wait for it"
    )


def test_the_advice_for_pid_1_covers_its_children_and_orphans() -> None:
    """An init would help only with the orphans."""
    assert zombies.verdict(neglect_of(1, 2), "app", "5ms") == (
        f"app (pid 1) has 2 children {NOT_WAITED}, the oldest for 5ms: it is PID 1 and should wait for its own "
        "children; to have orphans reaped, run it under an init such as pyinit"
    )


def test_the_advice_for_a_stopped_parent_is_to_continue_it() -> None:
    """While it is stopped, it cannot wait for its children."""
    child = subprocess.Popen(["sleep", "1000"])
    try:
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        said = zombies.verdict(neglect_of(child.pid, 1), "app", "5ms")
        assert said.endswith("for 5ms: it is stopped and cannot wait until it is continued (SIGCONT)")
    finally:
        child.kill()
        child.wait()


def test_a_zombie_is_found_and_assigned_to_its_parent(zombie: procfs.Process) -> None:
    """All zombies of one parent are one neglect."""
    assert zombie.pid in {one.pid for one in zombies.search() if one}
    neglects: dict[tuple[int, bool], zombies.Neglect] = {}
    first = zombies.add(neglects, zombie)
    assert first is not None and first.waiter is not None
    assert (first.pid, first.is_traced, first.waiter.pid) == (os.getpid(), False, os.getpid())
    assert zombies.add(neglects, zombie) is first
    assert list(neglects) == [(os.getpid(), False)] and len(first.zombies) == 2


def test_a_process_that_has_been_reaped_belongs_to_no_neglect(zombie: procfs.Process) -> None:
    """A running process does not, either."""
    neglects: dict[tuple[int, bool], zombies.Neglect] = {}
    os.waitpid(zombie.pid, 0)
    assert zombies.add(neglects, zombie) is None
    me = procfs.process(os.getpid())
    assert me is not None
    assert zombies.add(neglects, me) is None
    assert neglects == {}
    assert zombie.pid not in {one.pid for one in zombies.search() if one}


def test_a_name_cannot_make_a_process_look_like_a_zombie() -> None:
    """The state is the field after the last parenthesis."""
    script = "printf 'a) Z 1 (' > /proc/$$/comm; echo; read line"
    child = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None and child.stdout.readline() == b"\n"
        found = procfs.process(child.pid)
        assert found is not None and found.name == "a) Z 1 ("
        assert child.pid not in {one.pid for one in zombies.search() if one}
    finally:
        child.communicate()


def test_the_age_of_a_zombie_is_at_most_the_time_since_its_start(zombie: procfs.Process) -> None:
    """Measuring it does not change the CPU affinity of this process."""
    before = os.sched_getaffinity(0)
    with ages.ages() as clock:
        age = clock.since_end(zombie)
        assert 0 <= age.seconds <= clock.since_start(zombie)
    assert os.sched_getaffinity(0) == before


def test_an_age_says_whether_it_is_exact() -> None:
    """If not, it is an upper bound."""
    assert str(ages.Age(3.21, is_exact=True)) == "3.2s"
    assert str(ages.Age(190, is_exact=False)) == "at most 3m10s"


def test_the_oldest_is_the_one_with_the_highest_exact_age() -> None:
    """Upper bounds count only if no exact age is known."""
    exact, most = ages.Age(2.0, is_exact=True), ages.Age(9.0, is_exact=False)
    assert ages.oldest([most, exact, ages.Age(1.0, is_exact=True)]) == exact
    assert ages.oldest([ages.Age(3.0, is_exact=False), most]) == most


def test_only_the_zombies_that_were_started_first_get_an_exact_age(
    zombie: procfs.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exact age costs reading a file for each zombie."""
    monkeypatch.setattr(ages, "_MOST_EXACT", 1)
    asked: list[str] = []
    monkeypatch.setattr(ages, "_last_run", asked.append)
    later = procfs.Process(b"7 (x) Z 3 " + b"0 " * 15 + b"1 0 %d 0 0" % (zombie.started + 1))
    with ages.ages() as clock:
        found = clock.of_zombies([later, zombie])
    assert set(found) == {7, zombie.pid}
    assert asked == [str(zombie.pid)]
