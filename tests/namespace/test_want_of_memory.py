"""Memory runs out in places that a test cannot choose: so it does in functions that are replaced."""

import re
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from testing.namespaces import IN_TIME, INTERPRETER, Container

from .conftest import Start

Broken = Callable[..., Container]

START = """
    from pyinit.kernel import signals
    from pyinit.main import main
    mask = signals.block()
    main(["pyinit", *sys.argv[1:]], mask, {})
"""

FAILING = """
    left = 30
    def failing(function):
        def fails(argument):
            global left
            left -= 1
            if left >= 0:
                raise MemoryError
            return function(argument)
        return fails
"""

BEFORE_DELIVERY = f"""if True:
    import sys
    from pyinit import forwarder, pause
    {FAILING}
    forwarder.look_up = pause.look_up = failing(forwarder.look_up)
    {START}
"""
"""Thirty times, after the signal has been taken from the kernel."""

BEFORE_SENDING = f"""if True:
    import sys
    from pyinit.ending import stragglers
    left = 30
    members = stragglers.members
    def fails(group=None):
        global left
        left -= 1
        if left >= 0:
            raise MemoryError
        return members(group)
    stragglers.members = fails
    {START}
"""
"""Thirty times, when the members of a process group are looked up."""

WHEN_INSISTING = f"""if True:
    import sys
    from pyinit.ending.asking import Asking
    left = 30
    insist = Asking.insist
    def fails(asking, number):
        global left
        left -= 1
        if left >= 0:
            raise MemoryError
        insist(asking, number)
    Asking.insist = fails
    {START}
"""
"""Thirty times, before a second stop signal is sent to all that are left."""

AFTER_START = f"""if True:
    import sys
    from pyinit.reporting.log import Log
    info = Log.info
    def fails(log, event, *told, **fields):
        if event == "started":
            Log.info = info
            raise MemoryError
        info(log, event, *told, **fields)
    Log.info = fails
    {START}
"""
"""Once, when the program runs."""

WHEN_ASKING = f"""if True:
    import sys
    from pyinit.ending.asking import Asking
    {FAILING}
    Asking.look = failing(Asking.look)
    {START}
"""
"""Thirty times, before a process is asked to end."""

WHEN_SORTING = f"""if True:
    import sys
    from pyinit.ending.asking import Asking
    def fails(asking, tree):
        raise MemoryError
    Asking.split = fails
    {START}
"""
"""Each time that the rest is sorted by who is killed first."""

WHEN_COUNTING_KILLS = f"""if True:
    import sys
    from pyinit.account import Account
    def fails(account):
        raise MemoryError
    Account.oom_kills = property(fails)
    {START}
"""
"""Each time that the kills in our cgroup are counted."""

WHEN_NOTING_THE_END = f"""if True:
    import sys
    from pyinit.account import Account
    left = 30
    end = Account.end_workload
    def fails(account, *given):
        global left
        left -= 1
        if left >= 0:
            raise MemoryError
        return end(account, *given)
    Account.end_workload = fails
    {START}
"""
"""Thirty times, when it is noted how the workload has ended."""

WITH_TERMINAL = f"""if True:
    import sys
    from pyinit.account import Account
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "pyinit.workload.job_control":
                raise MemoryError
    sys.meta_path.insert(0, Finder())
    init = Account.__init__
    def has_been_stopped(account, *given):
        init(account, *given)
        account.has_been_stopped = True
    Account.__init__ = has_been_stopped
    {START}
"""
"""Each time that the module is loaded which takes the terminal back."""

WHEN_PREPARING = f"""if True:
    import sys
    from pyinit.init import Init
    def fails(init):
        raise MemoryError
    Init._prepare = fails
    {START}
"""
"""Each time that modules for the end are loaded in advance."""

WHEN_REPORTING = f"""if True:
    import sys
    from pyinit.ending.stages import Shutdown
    def fails(*_):
        raise MemoryError
    Shutdown._report_killed = fails
    {START}
"""
"""Each time that it is reported who is killed."""

WHEN_LISTING = f"""if True:
    import errno, sys
    from pyinit.ending import stragglers
    def fails():
        raise OSError(errno.ENOMEM, "Cannot allocate memory")
    def works_once():
        stragglers.are_all_seen = fails
        return True
    stragglers.are_all_seen = works_once
    {START}
"""
"""Each time that /proc is listed, once processes have been asked to end."""

WHEN_NAMING = f"""if True:
    import sys
    from pyinit.forwarder import Forwarder
    from pyinit.kernel import signals
    init = Forwarder.__init__
    def fails():
        if not signals._known:
            raise MemoryError
        return signals._known
    def without_memory(forwarder, *given):
        init(forwarder, *given)
        signals._names = fails
    Forwarder.__init__ = without_memory
    {START}
"""
"""Each time that the table of the names of signals would be made, once the workload exists."""

AFTER_THE_END = f"""if True:
    import sys
    from pyinit.reaper import Reaper
    reap = Reaper.reap
    def fails(reaper):
        if reaper._account.ending:
            raise OSError(5, "Input/output error")
        return reap(reaper)
    Reaper.reap = fails
    {START}
"""
"""Not memory: each turn fails once the workload has ended."""

COUNT = "trap 'n=x$n' TERM; echo ready; while [ -z $n ]; do sleep 0.05; done; sleep 0.3; echo $n"

COUNT_TO_TWO = "trap 'n=x$n; echo $n' TERM; echo ready; while [ \"$n\" != xx ]; do sleep 0.05; done"

SUBREAPER = ["sh", "-c", '"$@"; status=$?; kill -s 0 -- -1 2>/dev/null && echo survivors; exit $status', "sh"]
"""PID 1, which says so if anything outlives pyinit."""

LEAVE = "(trap 'echo asked; {then}' TERM; echo ready; while :; do sleep 0.05; done) & read line; exit 7"


@pytest.fixture
def broken(bare: Start, bin_folder: Path) -> Broken:
    """Start one of the programs above as PID 1, or below `above`, with the options and the workload of pyinit."""

    def broken(program: str, *words: str, above: Sequence[str] = ()) -> Container:
        command = [*IN_TIME, *above, INTERPRETER, "-c", program, *words]
        return bare(*command, cwd=bin_folder.parent / "lib", stdin=subprocess.PIPE)

    return broken


@pytest.mark.parametrize("words", [["--", "sh", "-c", COUNT], ["--pause"]], ids=["workload", "pause"])
def test_a_signal_is_delivered_once(broken: Broken, words: list[str]) -> None:
    """It has been taken from the kernel: nobody would send it again."""
    container = broken(BEFORE_DELIVERY, *words)
    if "sh" in words:
        container.expect("ready")
    else:
        container.await_rest()
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert (ended.status, ended.out, ended.err) == (0, "x\n" if "sh" in words else "", "")


def test_the_log_of_signals_needs_no_memory_that_may_be_gone(broken: Broken) -> None:
    """A signal that could not be told of was held up, and all after it."""
    container = broken(WHEN_NAMING, "-v", "--", "sh", "-c", COUNT)
    container.expect("ready")
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert (ended.status, ended.out) == (0, "x\n") and "pyinit: SIGTERM from outside" in ended.err, ended


def test_a_signal_is_delivered_to_a_group_once(broken: Broken) -> None:
    """The members of the group are looked up first."""
    container = broken(BEFORE_SENDING, "-g", "--", "sh", "-c", COUNT)
    container.expect("ready")
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert (ended.status, ended.out) == (0, "x\n") and "pyinit" not in ended.err, ended


def test_a_second_stop_signal_is_delivered_once(broken: Broken) -> None:
    """And still is the second."""
    container = broken(
        WHEN_INSISTING, "-v", "--drain-timeout=60", "--", "sh", "-c", f"({COUNT_TO_TWO}) & read line; exit 7"
    )
    container.expect("ready")
    container.say()
    container.expect("x")
    container.signal(signal.SIGTERM)
    container.error_line("not needed")
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert (ended.status, ended.out) == (7, "xx\n"), ended


def test_a_workload_that_runs_is_attended_to(broken: Broken) -> None:
    """The pipe that told that it runs has been read."""
    ended = broken(AFTER_START, "-v", "--", "sh", "-c", "exit 7").end()
    assert ended.status == 7 and "pyinit: started sh as pid " in ended.err, ended


@pytest.mark.parametrize(
    ("words", "status"),
    [(["--", "sh", "-c", "exit 7"], 7), (["--", "sh", "-c", "kill -KILL $$"], 137), (["--pause"], 0)],
    ids=["exited", "killed", "pause"],
)
def test_the_end_of_the_workload_is_not_lost(broken: Broken, words: list[str], status: int) -> None:
    """It is noted later, though the workload has been reaped."""
    container = broken(WHEN_NOTING_THE_END, "--exit-report=never", *words)
    if status == 0:
        container.await_rest()
        container.signal(signal.SIGTERM)
    ended = container.end()
    assert (ended.status, ended.err) == (status, "")


def test_an_action_without_memory_does_not_hold_up_signals(broken: Broken) -> None:
    """It is tried again and again, and signals get their turn meanwhile."""
    program = "trap 'echo got USR1; exit 7' USR1; echo ready; while :; do sleep 0.05; done"
    container = broken(WHEN_PREPARING, "--", "sh", "-c", program)
    container.expect("ready")
    container.signal(signal.SIGUSR1)
    container.expect("got USR1")
    assert container.end().status == 7


def test_the_status_is_that_of_the_workload_without_a_report(broken: Broken) -> None:
    """Only the report is lost."""
    ended = broken(WHEN_COUNTING_KILLS, "--", "sh", "-c", "exit 7").end()
    assert (ended.status, ended.err) == (7, "pyinit: cannot report how it ended: out of memory\n")


def test_the_status_is_that_of_the_workload_if_the_terminal_cannot_be_taken_back(bare: Start, bin_folder: Path) -> None:
    """The shell that started us will take it."""
    words = [INTERPRETER, "-c", WITH_TERMINAL, "--exit-report=always", "--drain-timeout=0", "--", "sh", "-c", "exit 7"]
    ended = bare("sh", "-c", '"$@"; exit $?', "sh", *words, cwd=bin_folder.parent / "lib").end()
    assert ended.status == 7
    assert "pyinit: cannot take the terminal back: out of memory\n" in ended.err
    assert " exited with 7 after " in ended.err


def test_what_is_left_is_asked_once(broken: Broken) -> None:
    """As soon as there is memory again."""
    container = broken(WHEN_ASKING, "--drain-timeout=60", "--", "sh", "-c", LEAVE.format(then="exit"))
    container.expect("ready")
    container.say()
    ended = container.end()
    assert (ended.status, ended.out) == (7, "asked\n"), ended


@pytest.mark.parametrize("above", [[], SUBREAPER], ids=["PID 1", "subreaper"])
@pytest.mark.parametrize("program", [WHEN_SORTING, WHEN_REPORTING, WHEN_LISTING], ids=["sort", "report", "list"])
def test_what_is_left_is_killed(broken: Broken, program: str, above: list[str]) -> None:
    """All at once, when nothing can be found out about them; the report says that they were killed."""
    words = ["--drain-timeout=3", "--", "sh", "-c", LEAVE.format(then="")]
    container = broken(program, *words, above=above)
    container.expect("ready")
    container.say()
    ended = container.end()
    assert (ended.status, ended.out) == (7, "asked\n"), ended
    assert "pyinit: cannot see what is left: " in ended.err, ended
    assert re.search(r"; [12] stragglers? killed \(sh (after|within) ", ended.err), ended


@pytest.mark.parametrize(("above", "survivors"), [([], ""), (SUBREAPER, "survivors\n")], ids=["PID 1", "subreaper"])
def test_what_cannot_be_ended_is_left_with_one_line(broken: Broken, above: list[str], survivors: str) -> None:
    """The kernel ends it with PID 1; the status is still the workload's."""
    deaf = "(trap '' TERM; echo ready; while :; do sleep 0.05; done) & read line; exit 7"  # it may have been asked
    container = broken(AFTER_THE_END, "--", "sh", "-c", deaf, above=above)
    container.expect("ready")
    container.say()
    ended = container.end()
    assert (ended.status, ended.out) == (7, survivors), ended
    assert ended.err == "pyinit: cannot end what is left: Input/output error\n", ended
