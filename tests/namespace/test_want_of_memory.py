"""Memory runs out in places that a test cannot choose: so it does in functions that are replaced."""

import re
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from testing.namespaces import INTERPRETER, Container

from .conftest import Start

Broken = Callable[..., Container]

START = """
    from pyinit.kernel import signals
    from pyinit.main import main
    mask = signals.block()
    main(["pyinit", *sys.argv[1:]], mask, {})
"""

BEFORE_DELIVERY = f"""if True:
    import sys
    from pyinit import forwarder, pause
    left = 30
    look_up = forwarder.look_up
    def fails(info):
        global left
        left -= 1
        if left >= 0:
            raise MemoryError
        return look_up(info)
    forwarder.look_up = pause.look_up = fails
    {START}
"""
"""Thirty times, after the signal has been taken from the kernel."""

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
    left = 30
    look = Asking.look
    def fails(asking):
        global left
        left -= 1
        if left >= 0:
            raise MemoryError
        return look(asking)
    Asking.look = fails
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

COUNT = "trap 'n=x$n' TERM; echo ready; while [ -z $n ]; do sleep 0.05; done; sleep 0.3; echo $n"

SUBREAPER = ["sh", "-c", '"$@"; status=$?; kill -s 0 -- -1 2>/dev/null && echo survivors; exit $status', "sh"]
"""PID 1, which says so if anything outlives pyinit."""

LEAVE = "(trap 'echo asked; {then}' TERM; echo ready; while :; do sleep 0.05; done) & read line; exit 7"


@pytest.fixture
def broken(bare: Start, bin_folder: Path) -> Broken:
    """Start one of the programs above as PID 1, or below `above`, with the options and the workload of pyinit."""

    def broken(program: str, *words: str, above: Sequence[str] = ()) -> Container:
        command = [*above, INTERPRETER, "-c", program, *words]
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


def test_a_workload_that_runs_is_attended_to(broken: Broken) -> None:
    """The pipe that told that it runs has been read."""
    ended = broken(AFTER_START, "-v", "--", "sh", "-c", "exit 7").end()
    assert ended.status == 7 and "pyinit: started sh as pid " in ended.err, ended


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
