"""Zombies, and the verdict on the processes that have not waited for them."""

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
    """A child of ours that has ended."""
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
    """`count` zombies that `pid` has not waited for; which ones does not matter here."""
    me = procfs.process(os.getpid())
    assert me is not None
    found = zombies.Neglect(pid, is_traced)
    found.zombies.extend([me] * count)
    return found


def test_the_verdict_is_a_sentence() -> None:
    """Who, how many, for how long, and what to do."""
    me = os.getpid()
    said = zombies.verdict(neglect_of(me, 15), "python worker.py", "3m")
    advice = "it should call wait() or join(), or handle SIGCHLD"
    assert said == f"python worker.py (pid {me}) has 15 children {NOT_WAITED}, the oldest for 3m: {advice}"
    said = zombies.verdict(neglect_of(me, 1), "w", "at most 2.0s")
    assert said == f"w (pid {me}) has 1 child {NOT_WAITED}, for at most 2.0s: {advice}"


@pytest.mark.parametrize(("count", "what"), [(1, "1 zombie"), (2, "2 zombies")])
def test_a_tracer_is_told_to_end_the_tracing(count: int, what: str) -> None:
    """Its zombies are the children of other processes."""
    me = os.getpid()
    since = "for 1.0s" if count == 1 else "the oldest for 1.0s"
    assert zombies.verdict(neglect_of(me, count, is_traced=True), "strace", "1.0s") == (
        f"strace (pid {me}) traces {what} {NOT_WAITED}, {since}: "
        "a parent can wait only after the tracer, so end the tracing"
    )


def test_a_parent_outside_of_the_namespace_has_no_name() -> None:
    """/proc calls it 0."""
    assert zombies.verdict(neglect_of(0, 1), "whatever", "5ms") == (
        f"a process outside of this PID namespace has 1 child {NOT_WAITED}, for 5ms: "
        "the container engine started it (docker exec) and has to wait for it"
    )


def test_pid_1_is_told_of_its_own_children_and_of_orphans() -> None:
    """Whatever PID 1 is here; an init helps with the orphans alone."""
    assert zombies.verdict(neglect_of(1, 2), "app", "5ms") == (
        f"app (pid 1) has 2 children {NOT_WAITED}, the oldest for 5ms: it is PID 1 and should wait for its own "
        "children; to have orphans reaped, run it under an init such as pyinit"
    )


def test_a_stopped_parent_is_to_be_continued() -> None:
    """It can do nothing else."""
    child = subprocess.Popen(["sleep", "1000"])
    try:
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        said = zombies.verdict(neglect_of(child.pid, 1), "app", "5ms")
        assert said.endswith("for 5ms: it is stopped and cannot wait until it is continued (SIGCONT)")
    finally:
        child.kill()
        child.wait()


def test_a_zombie_is_found_and_put_to_its_parent(zombie: procfs.Process) -> None:
    """Several of one parent are one neglect."""
    assert zombie.pid in {one.pid for one in zombies.search() if one}
    neglects: dict[tuple[int, bool], zombies.Neglect] = {}
    first = zombies.add(neglects, zombie)
    assert first is not None and first.waiter is not None
    assert (first.pid, first.is_traced, first.waiter.pid) == (os.getpid(), False, os.getpid())
    assert zombies.add(neglects, zombie) is first
    assert list(neglects) == [(os.getpid(), False)] and len(first.zombies) == 2


def test_a_process_that_has_been_reaped_belongs_to_no_neglect(zombie: procfs.Process) -> None:
    """Nor does one that is alive."""
    neglects: dict[tuple[int, bool], zombies.Neglect] = {}
    os.waitpid(zombie.pid, 0)
    assert zombies.add(neglects, zombie) is None
    me = procfs.process(os.getpid())
    assert me is not None
    assert zombies.add(neglects, me) is None
    assert neglects == {}
    assert zombie.pid not in {one.pid for one in zombies.search() if one}


def test_a_name_that_looks_like_the_line_of_a_zombie_makes_no_zombie() -> None:
    """The state is what follows the last parenthesis."""
    script = "printf 'a) Z 1 (' > /proc/$$/comm; echo; read line"
    child = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None and child.stdout.readline() == b"\n"
        found = procfs.process(child.pid)
        assert found is not None and found.name == "a) Z 1 ("
        assert child.pid not in {one.pid for one in zombies.search() if one}
    finally:
        child.communicate()


def test_an_age_is_no_more_than_since_the_start(zombie: procfs.Process) -> None:
    """And this process may run wherever it might before."""
    before = os.sched_getaffinity(0)
    with ages.ages() as clock:
        age = clock.since_end(zombie)
        assert 0 <= age.seconds <= clock.since_start(zombie)
    assert os.sched_getaffinity(0) == before


def test_an_age_says_whether_it_is_the_most_it_can_be() -> None:
    """In words."""
    assert str(ages.Age(3.21, is_exact=True)) == "3.2s"
    assert str(ages.Age(190, is_exact=False)) == "at most 3m10s"


def test_the_oldest_is_one_whose_age_is_known() -> None:
    """The most that an age can be is only an answer where nothing better is known."""
    exact, most = ages.Age(2.0, is_exact=True), ages.Age(9.0, is_exact=False)
    assert ages.oldest([most, exact, ages.Age(1.0, is_exact=True)]) == exact
    assert ages.oldest([ages.Age(3.0, is_exact=False), most]) == most


def test_only_the_zombies_that_were_started_first_get_an_exact_age(
    zombie: procfs.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes a file to read."""
    monkeypatch.setattr(ages, "_MOST_EXACT", 1)
    asked: list[str] = []
    monkeypatch.setattr(ages, "_last_run", asked.append)
    later = procfs.Process(b"7 (x) Z 3 " + b"0 " * 15 + b"1 0 %d 0 0" % (zombie.started + 1))
    with ages.ages() as clock:
        found = clock.of_zombies([later, zombie])
    assert set(found) == {7, zombie.pid}
    assert asked == [str(zombie.pid)]
