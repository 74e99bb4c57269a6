"""The second stop signal is impatience; the first is not."""

import signal
import time

import pytest

from .conftest import NEVER_NEEDED, SOON, Begin, Watched, lines, program, shell_command

PROCESSES_STARTED = ("head", "master", "worker", "reader")

PROCESSES = """
    def be_head():
        _signal.pthread_sigmask(_signal.SIG_BLOCK, NAMES)
        ready()
        while (number := _signal.sigwaitinfo(NAMES).si_signo) != _signal.SIGINT:
            note(NAMES[number])
        note(NAMES[number])

    def be_busy_master():
        worker = start("worker", listen, 0)
        catch(_signal.SIGTERM, _signal.SIGINT)
        ready()
        await_signal(2)
        wait_for([worker])

    def read():
        posix.close(writer)
        posix.dup2(reader, 0)
        gulp_and_save()

    reader, writer = posix.pipe()
    start("reader", read)
    start("head", be_head)
    start("master", be_busy_master)
    main(3)
"""
"""A head that ends at SIGINT, a master that ends at its second signal, its worker, and a reader. All the others can
write to the reader's pipe. When they have exited, the reader is asked, and ends."""


def heard(watched: Watched) -> dict[str, list[str]]:
    """The events that each process has noted; those of the reader in any order: it may be asked before it has seen the
    end of its input."""
    return {
        name: sorted(watched.events(name)) if name == "reader" else watched.events(name) for name in PROCESSES_STARTED
    }


def assert_ended_in_order(watched: Watched) -> None:
    """Check what each process has heard, and that the reader was asked after the others."""
    assert heard(watched) == IN_THE_END, watched.story
    assert watched.time_of("reader", "TERM") > watched.time_of("worker", "saved"), watched.story


def begin_with_processes(begin: Begin, *options: str) -> Watched:
    """Start `PROCESSES`, with a workload that exits at a line."""
    watched = begin(*options, "--", *program(PROCESSES))
    watched.await_ready("main", *PROCESSES_STARTED)
    return watched


AT_FIRST = {"head": ["TERM"], "master": ["TERM"], "worker": [], "reader": []}

IN_THE_END = {
    "head": ["TERM", "INT"],
    "master": ["TERM", "INT"],
    "worker": ["INT", "saved"],
    "reader": ["TERM", "done", "end-of-input"],
}


def test_the_first_stop_signal_during_a_drain_that_a_crash_began_changes_nothing(begin: Begin) -> None:
    """All processes that are left have been asked. The second signal goes to every process, readers excepted."""
    watched = begin_with_processes(begin, "-v", NEVER_NEEDED)
    watched.leave()
    watched.await_event("TERM", "head", "master")
    assert heard(watched) == AT_FIRST, watched.story
    watched.signal(signal.SIGINT)
    watched.error_line("SIGINT")
    time.sleep(0.3)  # nor is it sent a moment later
    assert heard(watched) == AT_FIRST, watched.story
    watched.signal(signal.SIGINT)
    outcome = watched.finish()
    assert outcome.status == 3
    assert_ended_in_order(watched)
    assert outcome.seconds < 2 + SOON, watched.story


def test_the_next_stop_signal_after_the_one_that_ended_the_workload_is_impatience(begin: Begin) -> None:
    """It is the second, though it is the first during the drain."""
    watched = begin_with_processes(begin, NEVER_NEEDED)
    watched.stop()
    watched.await_event("TERM", "head", "master")
    watched.signal(signal.SIGINT)
    outcome = watched.finish()
    assert outcome.status == 128 + signal.SIGTERM
    assert_ended_in_order(watched)
    assert outcome.seconds < 2 + SOON, watched.story


def test_what_got_sigterm_by_impatience_is_not_asked_again(begin: Begin) -> None:
    """Not even when it becomes a child of pyinit: to many servers, a second SIGTERM means to stop at once."""
    text = """
        def parent():
            start("worker", listen, 1)
            catch(_signal.SIGTERM)
            ready()
            await_signal(2)
        start("parent", parent)
        main(3)
    """
    watched = begin(NEVER_NEEDED, "--", *program(text))
    watched.await_ready("main", "parent", "worker")
    watched.stop()
    watched.await_event("TERM", "parent")
    watched.signal(signal.SIGTERM)
    outcome = watched.finish()
    assert outcome.status == 128 + signal.SIGTERM
    assert len(watched.asked("worker")) == 1, watched.story


@pytest.mark.parametrize(
    ("options", "number", "delivered"),
    [([], signal.SIGTERM, "TERM"), ([], signal.SIGINT, "INT"), (["-r", "TERM:INT"], signal.SIGTERM, "INT")],
    ids=["TERM", "INT", "TERM rewritten to INT"],
)
def test_while_staying_the_first_stop_signal_asks_in_the_same_order(
    begin: Begin, options: list[str], number: int, delivered: str
) -> None:
    """With the signal that came, after rewriting: heads, and the processes below one that cannot act on it."""
    text = """
        def be_deaf():
            for number in STOP_SIGNALS:
                _signal.signal(number, _signal.SIG_IGN)
            ready()
            wait_for([start("child", listen, 0.3)])
        def be_prefork_master():
            be_master([start("worker", work, 0.6)], _signal.SIGTERM, _signal.SIGINT)
        start("head", listen, 0.3)
        start("deaf", be_deaf)
        start("master", be_prefork_master)
        main(3)
    """
    watched = begin("--wait-for=all", *options, "--", *program(text))
    watched.await_ready("main", "head", "deaf", "child", "master", "worker")
    watched.leave()
    watched.await_exit("main")
    watched.signal(number)
    outcome = watched.finish()
    assert outcome.status == 3
    assert watched.events("head") == watched.events("child") == [delivered, "saved"], watched.story
    assert len(watched.asked("head", delivered)) == len(watched.asked("child", delivered)) == 1, watched.story
    assert watched.events("master") == [delivered, "done"], watched.story
    assert watched.events("worker") == ["done"], watched.story


def test_while_staying_readers_are_spared_by_the_first_stop_signal(begin: Begin) -> None:
    """No byte is lost here, either."""
    application = shell_command("application", "write_lines", 0.5)
    watched = begin("--wait-for=all", "--", "sh", "-c", f"{application} | sed 's/$//' & read line; exit 3")
    watched.await_ready("application")
    watched.await_programs("sed")
    watched.leave()
    watched.signal(signal.SIGTERM)
    outcome = watched.finish()
    assert outcome.out == lines(40), watched.story


def test_while_staying_the_second_stop_signal_goes_to_all_but_readers(begin: Begin) -> None:
    """As it does during the drain."""
    watched = begin_with_processes(begin, "--wait-for=all")
    watched.leave()
    watched.await_exit("main")
    watched.signal(signal.SIGTERM)
    watched.await_event("TERM", "head", "master")
    watched.signal(signal.SIGINT)
    outcome = watched.finish()
    assert outcome.status == 3
    assert_ended_in_order(watched)
    assert outcome.seconds < 2 + SOON, watched.story


def test_a_process_that_was_asked_while_staying_is_not_asked_again_when_the_stop_timeout_has_passed(
    begin: Begin,
) -> None:
    """The drain that follows asks only those that were not."""
    text = """
        def master():
            start("worker", listen, 0)
            catch_and_stay()
        start("head", listen)
        start("master", master)
        main(3)
    """
    watched = begin("--wait-for=all", "--stop-timeout=0.6", "--drain-timeout=1.9", "--", *program(text))
    watched.await_ready("main", "head", "master", "worker")
    watched.leave()
    watched.await_exit("main")
    watched.signal(signal.SIGTERM)
    outcome = watched.finish()
    assert outcome.status == 3
    assert watched.events("head") == watched.events("master") == ["TERM"], watched.story
    assert watched.events("worker") == ["TERM", "saved"], watched.story
    assert watched.asked("worker")[0] >= 1.5, watched.story
    assert 2.5 <= outcome.seconds < 2.5 + 1 + SOON, watched.story


def test_a_stop_signal_that_is_dropped_asks_nobody(begin: Begin) -> None:
    """Not the workload, and so not the processes that it leaves. The next stop signal is the first."""
    watched = begin_with_processes(begin, "-v", "--wait-for=all", "-r", "QUIT:0")
    watched.signal(signal.SIGQUIT)
    watched.error_line("dropped")
    watched.leave()
    watched.await_exit("main")
    watched.signal(signal.SIGTERM)
    watched.await_event("TERM", "head", "master")
    watched.signal(signal.SIGINT)
    outcome = watched.finish()
    assert outcome.status == 3
    assert heard(watched) == IN_THE_END, watched.story
