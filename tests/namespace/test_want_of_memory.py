"""Memory runs out in places that a test cannot choose: so it does in functions that are replaced."""

import signal
import subprocess
from collections.abc import Callable
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
        look(asking)
    Asking.look = fails
    {START}
"""
"""Thirty times, before a process is asked to end."""

WHEN_KILLING = f"""if True:
    import sys
    from pyinit.ending.asking import Asking
    def fails(asking, tree):
        raise MemoryError
    Asking.split = fails
    {START}
"""
"""Each time that the rest is sorted by who is killed first."""

COUNT = "trap 'n=x$n' TERM; echo ready; while [ -z $n ]; do sleep 0.05; done; sleep 0.3; echo $n"

LEAVE = "(trap 'echo asked; {then}' TERM; echo ready; while :; do sleep 0.05; done) & read line; exit 7"


@pytest.fixture
def broken(bare: Start, bin_folder: Path) -> Broken:
    """Start one of the programs above as PID 1, with the options and the workload of pyinit."""

    def broken(program: str, *words: str) -> Container:
        return bare(INTERPRETER, "-c", program, *words, cwd=bin_folder.parent / "lib", stdin=subprocess.PIPE)

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


def test_what_is_left_is_killed(broken: Broken) -> None:
    """All at once, when nothing can be found out about them."""
    container = broken(WHEN_KILLING, "--drain-timeout=3", "--", "sh", "-c", LEAVE.format(then=""))
    container.expect("ready")
    container.say()
    ended = container.end()
    assert (ended.status, ended.out) == (7, "asked\n"), ended
    assert "pyinit: cannot see what is left: MemoryError()\n" in ended.err
