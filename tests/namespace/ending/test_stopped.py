"""Stopped processes: those that a stop signal was delivered to are continued, and no others."""

import signal
import time
from pathlib import Path

import psutil
import pytest

from .conftest import NEVER_NEEDED, SOON, Begin, Watched, program

STOP_SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]

STOPPED = program("be_stopped_and_listen(0.2)")

WAYS = [
    pytest.param("-c", signal.SIGTERM, id="TERM"),
    pytest.param("-c", signal.SIGINT, id="INT"),
    pytest.param("-c", signal.SIGQUIT, id="QUIT"),
    pytest.param("-g", signal.SIGTERM, id="TERM to the group"),
    pytest.param("--forward-to=all", signal.SIGTERM, id="TERM to all"),
]


def short(number: int) -> str:
    """The name of a signal as it is noted."""
    return signal.Signals(number).name.removeprefix("SIG")


def signals_sent(watched: Watched, name: str) -> set[tuple[str, str]]:
    """The signals that a process has noted, and their senders. Pending signals keep no order."""
    names = {short(number) for number in (*STOP_SIGNALS, signal.SIGCONT, signal.SIGHUP, signal.SIGUSR1)}
    noted = [(note.event, note.detail) for note in watched.notes if note.name == name and note.event in names]
    assert len(set(noted)) == len(noted), noted
    return set(noted)


def test_a_stopped_workload_runs_its_trap(begin: Begin, tmp_path: Path) -> None:
    """A debugger may have left it stopped. The stop timeout need not pass."""
    script = "trap 'echo saved > saved; exit 5' TERM; kill -STOP $$; while :; do sleep 0.05; done"
    watched = begin("--stop-timeout=20", "--", "sh", "-c", script)
    watched.await_stopped()
    watched.stop()
    outcome = watched.finish()
    assert (outcome.status, outcome.seconds < SOON) == (5, True), watched.story
    assert (tmp_path / "saved").read_text() == "saved\n"


@pytest.mark.parametrize(("option", "number"), WAYS)
def test_a_stopped_workload_gets_each_stop_signal_and_is_continued(begin: Begin, option: str, number: int) -> None:
    """So is a stopped process that gets it with the workload's group, or with all."""
    text = "start('child', be_stopped_and_listen, 0.2); be_stopped_and_listen(0.2)"
    watched = begin(option, NEVER_NEEDED, "--", *program(text))
    watched.await_stopped(2)
    watched.stop(number)
    outcome = watched.finish()
    assert outcome.status == 0 and outcome.seconds < SOON, watched.story
    sender = watched.sender
    assert signals_sent(watched, "main") == {(short(number), sender), ("CONT", sender)}, watched.story
    # With -c it is asked when the workload has ended.
    assert signals_sent(watched, "child") == {("TERM", sender), ("CONT", sender)}, watched.story


def test_a_workload_that_has_stopped_just_before_the_stop_signal_is_continued(begin: Begin) -> None:
    """pyinit finds the stop signal and SIGCHLD at once, and takes the lower number, the stop signal, first."""
    watched = begin("-r", "CONT:0", "--", *program("listen(0.2)"))  # the signal that continues pyinit is not passed on
    watched.await_ready("main")
    pyinit = psutil.Process(watched.init)
    (workload,) = pyinit.children()
    pyinit.suspend()
    watched.await_stopped(1)
    workload.suspend()
    watched.await_stopped(2)
    watched.stop()
    pyinit.resume()
    watched.finish()
    assert signals_sent(watched, "main") == {("TERM", watched.sender), ("CONT", watched.sender)}, watched.story


@pytest.mark.parametrize(
    ("rewrite", "number"), [("HUP:TERM", signal.SIGHUP), ("TERM:INT", signal.SIGTERM)], ids=["HUP:TERM", "TERM:INT"]
)
def test_what_counts_is_the_signal_that_is_delivered(begin: Begin, rewrite: str, number: int) -> None:
    """A signal that is rewritten to a stop signal counts as one."""
    watched = begin("-r", rewrite, "--", *STOPPED)
    watched.await_stopped()
    watched.stop(number)
    watched.finish()
    delivered = rewrite.partition(":")[2]
    assert signals_sent(watched, "main") == {(delivered, watched.sender), ("CONT", watched.sender)}, watched.story


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1], ids=short)
def test_any_other_signal_leaves_a_stopped_workload_stopped(begin: Begin, number: int) -> None:
    """The signal stays pending until the workload is continued otherwise."""
    watched = begin("-v", "--", *STOPPED)
    watched.await_stopped()
    watched.signal(number)
    watched.error_line(f"SIG{short(number)} ")
    time.sleep(0.2)  # nor is it continued a moment later
    watched.await_stopped()
    assert watched.notes_of("main", "ready") == []
    watched.stop()
    watched.finish()
    sender = watched.sender
    expected = {(short(number), sender), ("TERM", sender), ("CONT", sender)}
    assert signals_sent(watched, "main") == expected, watched.story


def test_a_stopped_head_is_continued_after_it_was_asked(begin: Begin) -> None:
    """One that listens gets both signals; one that does not dies of SIGTERM."""
    text = """
        def be_stopped():
            posix.kill(posix.getpid(), _signal.SIGSTOP)
            sleep()
        start("listener", be_stopped_and_listen, 0.2)
        start("default", be_stopped)
        main(3)
    """
    watched = begin(NEVER_NEEDED, "--", *program(text))
    watched.await_ready("main")
    watched.await_stopped(2)
    watched.leave()
    outcome = watched.finish()
    assert outcome.seconds < SOON, watched.story
    assert signals_sent(watched, "listener") == {("TERM", watched.sender), ("CONT", watched.sender)}, watched.story


def test_a_stopped_child_of_a_master_is_left_to_it(begin: Begin) -> None:
    """It has not been asked. In the last second it is asked and continued."""
    text = """
        def master():
            be_master([start("worker", be_stopped_and_listen, 0)])
        start("master", master)
        main(3)
    """
    watched = begin("--drain-timeout=2", "--", *program(text))
    watched.await_ready("main", "master")
    watched.await_stopped()
    watched.leave()
    watched.finish()
    assert watched.time_of("worker", "TERM") >= 0.95, watched.story
    assert signals_sent(watched, "worker") == {("TERM", watched.sender), ("CONT", watched.sender)}, watched.story
    assert watched.events("master") == ["TERM", "done"], watched.story


@pytest.mark.parametrize(("option", "number"), WAYS)
def test_processes_that_are_not_stopped_get_no_sigcont(begin: Begin, option: str, number: int) -> None:
    """Neither the workload, nor a head during the drain."""
    watched = begin(option, NEVER_NEEDED, "--", *program("start('head', listen, 0.4); listen(0.2)"))
    watched.await_ready("main", "head")
    watched.stop(number)
    outcome = watched.finish()
    assert outcome.status == 0
    for name in ("main", "head"):
        assert watched.notes_of(name, "CONT") == [], watched.story
        assert watched.notes_of(name, "saved"), watched.story
