"""pyinit sends SIGTERM once to each process, and to each process in the end."""

import signal

import pytest

from .conftest import NEVER_NEEDED, SOON, Begin, program

POOL = "be_master([start('first', {role}, {seconds}), start('second', {role}, {seconds})])"


@pytest.mark.parametrize(
    ("timeout", "seconds", "role", "events"),
    [
        # In the last second the processes that were not asked are asked. These have finished before.
        (6.0, 3.5, "work", ["done"]),
        # They get the signal in that second, and go on.
        (3.0, 2.2, "work_on", ["TERM", "done"]),
    ],
    ids=["before the last second", "in it"],
)
def test_the_tasks_of_a_master_have_nearly_all_of_the_drain_timeout(
    begin: Begin, timeout: float, seconds: float, role: str, events: list[str]
) -> None:
    """The master catches SIGTERM, and waits for its pool."""
    text = f"""
        def master():
            {POOL.format(role=role, seconds=seconds)}
        start("master", master)
        main(3)
    """
    watched = begin(f"--drain-timeout={timeout}", "--", *program(text))
    watched.await_ready("main", "master", "first", "second")
    watched.leave()
    outcome = watched.finish()
    assert outcome.status == 3
    assert watched.events("master") == ["TERM", "done"], watched.story
    for name in ("first", "second"):
        assert watched.events(name) == events, watched.story


def test_a_master_that_hands_the_signal_on_is_the_only_one_that_sends_it_to_its_children(begin: Begin) -> None:
    """They get it once, and from the master."""
    text = """
        def master():
            hand_on([start("first", listen, 0.8), start("second", listen, 0.8)])
        start("master", master)
        main(3)
    """
    watched = begin(NEVER_NEEDED, "--", *program(text))
    watched.await_ready("main", "master", "first", "second")
    watched.leave()
    watched.finish()
    assert watched.events("master") == ["TERM", "done"], watched.story
    for name in ("first", "second"):
        assert watched.events(name) == ["TERM", "saved"] and not watched.asked(name), watched.story


def test_children_of_a_master_that_leaves_them_are_asked_by_pyinit_once(begin: Begin) -> None:
    """It hands the signal on and exits: they get it from both. pyinit cannot know what the master has sent."""
    text = """
        def master():
            children = [start("first", listen, 0.5, 2), start("second", listen, 0.5, 2)]
            catch(_signal.SIGTERM)
            ready()
            await_signal()
            for pid in children:
                posix.kill(pid, _signal.SIGTERM)
            await_file("parent-exits")
        start("master", master)
        main(3)
    """
    watched = begin(NEVER_NEEDED, "--", *program(text))
    watched.await_ready("main", "master", "first", "second")
    watched.leave()
    watched.await_event("TERM", "first", "second")  # a second signal would be lost while the first is pending
    (watched.folder / "parent-exits").touch()
    watched.finish()
    for name in ("first", "second"):
        assert watched.events(name) == ["TERM", "TERM", "saved"], watched.story
        (gap,) = watched.asked(name)
        assert gap < SOON, watched.story


FAMILY = """
    def apart():
        posix.setpgid(0, 0)
        listen(0.6, sys.argv[2])
    start("together", listen, 0.6, sys.argv[1])
    start("apart", apart)
    main(3)
"""
"""Two processes, one of them in the workload's group, that end after as many stop signals as the arguments say."""


@pytest.mark.parametrize("option", ["-g", "--forward-to=all"])
def test_what_was_delivered_with_the_stop_signal_is_not_sent_again(begin: Begin, option: str) -> None:
    """It went to the workload's group, or to all. A process that did not get it is asked after the workload's end."""
    watched = begin(option, NEVER_NEEDED, "--", *program(FAMILY, "1", "1"))
    watched.await_ready("main", "together", "apart")
    watched.stop()
    outcome = watched.finish()
    assert outcome.status == 128 + signal.SIGTERM
    for name in ("together", "apart"):
        assert watched.events(name) == ["TERM", "saved"], watched.story
        assert len(watched.asked(name)) == 1, watched.story


@pytest.mark.parametrize(("option", "count"), [("-g", "1"), ("--forward-to=all", "2")])
def test_another_signal_that_was_delivered_is_not_sigterm(begin: Begin, option: str, count: str) -> None:
    """The workload dies of SIGINT; then the others are asked with SIGTERM."""
    watched = begin(option, NEVER_NEEDED, "--", *program(FAMILY, "2", count))
    watched.await_ready("main", "together", "apart")
    watched.stop(signal.SIGINT)
    outcome = watched.finish()
    assert outcome.status == 128 + signal.SIGINT
    for name in ("together", "apart"):
        (gap,) = watched.asked(name)
        assert gap < SOON, watched.story
    assert len(watched.asked("together", "INT")) == 1, watched.story


def test_an_orphan_that_was_ended_before_is_not_asked_again(begin: Begin) -> None:
    """`--orphans=terminate` shares the list of processes that were asked."""
    text = """
        def parent():
            start("orphan", stay)
            await_file("parent-exits")
        def stay():
            start("other", listen, 0.5)
            listen()
        start("parent", parent)
        main(3)
    """
    watched = begin("--orphans=terminate", "--drain-timeout=3", "--", *program(text))
    watched.await_ready("main", "orphan", "other")
    (watched.folder / "parent-exits").touch()
    watched.await_event("TERM", "orphan")
    watched.leave()
    outcome = watched.finish()
    assert outcome.status == 3
    assert watched.events("orphan") == ["TERM"], watched.story  # it stays, and is killed
    assert watched.events("other") == ["TERM", "saved"], watched.story


def test_the_children_of_a_head_that_has_exited_are_asked_at_once(begin: Begin) -> None:
    """They have become heads. The kernel does not announce that, so pyinit looks for such children."""
    text = """
        def parent():
            start("listener", listen, 0.2)
            start("default", sleep)
            save(0.7)
        start("parent", parent)
        main(3)
    """
    watched = begin(NEVER_NEEDED, "--", *program(text))
    watched.await_ready("main", "parent", "listener", "default")
    watched.leave()
    outcome = watched.finish()
    (gap,) = watched.asked("listener")
    assert 0 < gap - watched.time_of("parent", "saved") < SOON / 2, watched.story
    assert outcome.seconds < 1 + SOON, watched.story


def test_the_children_of_a_head_that_has_exited_are_not_asked_again(begin: Begin) -> None:
    """They were asked with it, since it ignores the signal."""
    text = """
        def parent():
            _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
            start("listener", listen, 1)
            work(0.4)
        start("parent", parent)
        main(3)
    """
    watched = begin(NEVER_NEEDED, "--", *program(text))
    watched.await_ready("main", "parent", "listener")
    watched.leave()
    watched.finish()
    assert watched.events("parent") == ["done"], watched.story
    assert watched.events("listener") == ["TERM", "saved"], watched.story
    assert len(watched.asked("listener")) == 1, watched.story


def test_a_child_that_is_started_after_its_parent_was_asked_is_left_to_the_parent(begin: Begin) -> None:
    """It may be a helper that saves. It is asked in the last second, if it is still there."""
    text = """
        def parent():
            catch(_signal.SIGTERM)
            ready()
            await_signal()
            wait_for([start("brief", sleep_a_second), start("long", listen, 0)])
            note("done")
        def sleep_a_second():
            time.sleep(1)
            note("done")
        start("parent", parent)
        main(3)
    """
    watched = begin("--drain-timeout=5", "--", *program(text))
    watched.await_ready("main", "parent")
    watched.leave()
    watched.finish()
    assert watched.events("parent") == ["TERM", "done"], watched.story
    assert watched.events("brief") == ["done"], watched.story
    (gap,) = watched.asked("long")
    assert gap >= 3.9, watched.story
    assert watched.events("long") == ["TERM", "saved"], watched.story


def test_a_child_that_is_started_after_its_parent_was_asked_is_asked_when_the_parent_exits(begin: Begin) -> None:
    """It becomes a child of pyinit during the drain."""
    text = """
        def parent():
            catch(_signal.SIGTERM)
            ready()
            await_signal()
            _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGTERM])  # for the child, from its first moment
            start("child", listen, 0.2)
            note("exits")
        start("parent", parent)
        main(3)
    """
    watched = begin(NEVER_NEEDED, "--", *program(text))
    watched.await_ready("main", "parent")
    watched.leave()
    outcome = watched.finish()
    (gap,) = watched.asked("child")
    assert gap - watched.time_of("parent", "exits") < SOON / 2, watched.story
    assert outcome.seconds < SOON, watched.story


@pytest.mark.parametrize(("timeout", "due"), [(3.0, 2.0), (1.9, 0.95)], ids=["a second", "half of it"])
def test_a_process_that_was_not_asked_is_asked_before_the_drain_timeout_ends(
    begin: Begin, timeout: float, due: float
) -> None:
    """One second before, or at half of it. Readers are spared, and no process is asked twice."""
    text = """
        def master():
            start("worker", listen, 0)
            catch_and_stay()
        start("master", master)
        start("listener", listen)
        reader, writer = posix.pipe()
        def read():
            posix.close(writer)
            posix.dup2(reader, 0)
            listen()
        start("reader", read)
        start("writer", ignore)
        main(3)
    """
    watched = begin(f"--drain-timeout={timeout}", "--", *program(text))
    watched.await_ready("main", "master", "worker", "listener", "reader", "writer")
    watched.leave()
    outcome = watched.finish()
    (gap,) = watched.asked("worker")
    assert gap >= due - 0.05, watched.story
    assert watched.events("worker") == ["TERM", "saved"], watched.story
    assert watched.events("master") == watched.events("listener") == ["TERM"], watched.story
    assert watched.events("reader") == [], watched.story
    assert timeout + 0.5 <= outcome.seconds < timeout + 1 + SOON, watched.story


BOMB = """
    def be_bomb():
        catch(_signal.SIGTERM)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGTERM])
        ready()
        await_signal()
        try:
            posix.read(tokens, 1)
        except BlockingIOError:  # the last token has been taken: the bomb is over, and they stay
            sleep()
        _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGTERM])  # for the copies, until they catch it
        for number in (1, 2):
            start(f"{posix.getpid()}.{number}", be_bomb)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGTERM])
        if sys.argv[1] == "stays":
            sleep()

    tokens, filler = posix.pipe()
    posix.set_blocking(tokens, False)
    posix.write(filler, bytes(100))
    start("bomb", be_bomb)
    main(3)
"""
"""A process that starts two copies of itself at SIGTERM, and stays or exits. There is a token for each pair."""


@pytest.mark.parametrize("parent", ["stays", "exits"])
def test_a_fork_bomb_of_handlers_ends_in_time(begin: Begin, parent: str) -> None:
    """Each process that is asked starts two more. If it exits after that, those are asked at once."""
    watched = begin("--drain-timeout=5", "--", *program(BOMB, parent))
    watched.await_ready("main", "bomb")
    watched.leave()
    outcome = watched.finish()
    assert outcome.status == 3
    assert 5 <= outcome.seconds < 6 + SOON, watched.story
    asked = [note.name for note in watched.notes if note.event == "TERM"]
    assert len(asked) >= 3 and len(asked) == len(set(asked)), watched.story
