"""Memory runs out in places that a test cannot choose: so it does in functions that are replaced."""

import signal
import subprocess
import sys

import pytest

from testing import ROOT
from testing.namespaces import clean_environment

START = """
    mask = signals.block()
    print("ready", flush=True)
    main(["pyinit", *sys.argv[1:]], mask, {})
"""

BEFORE_DELIVERY = f"""if True:
    import sys
    from pyinit import forwarder, pause
    from pyinit.kernel import signals
    from pyinit.main import main
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
    from pyinit.kernel import signals
    from pyinit.main import main
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

COUNT = "trap 'n=x$n' TERM; echo ready; while [ -z $n ]; do sleep 0.05; done; sleep 0.3; echo $n"


def run(program: str, *words: str, waits_for: int, number: int = 0) -> tuple[int, str, str]:
    """The status, output and errors of an init that is sent a signal (0: none) after some lines of output."""
    command = [sys.executable, "-c", program, *words]
    with subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as init:
        assert init.stdout is not None
        lines = [init.stdout.readline() for _ in range(waits_for)]
        init.send_signal(number)
        out, err = init.communicate(timeout=60)
    return init.returncode, "".join(lines) + out, err


@pytest.mark.parametrize(
    ("words", "waits_for", "said"),
    [(["--", "sh", "-c", COUNT], 2, "ready\nready\nx\n"), (["--pause"], 1, "ready\n")],
    ids=["workload", "pause"],
)
def test_a_signal_is_delivered_once(words: list[str], waits_for: int, said: str) -> None:
    """It has been taken from the kernel: nobody would send it again."""
    ended = run(BEFORE_DELIVERY, *words, waits_for=waits_for, number=signal.SIGTERM)
    assert ended == (0, said, "")


def test_a_workload_that_runs_is_attended_to() -> None:
    """The pipe that told that it runs has been read."""
    status, said, errors = run(AFTER_START, "-v", "--", "sh", "-c", "exit 7", waits_for=1)
    assert (status, said) == (7, "ready\n") and "pyinit: started sh as pid " in errors, errors
