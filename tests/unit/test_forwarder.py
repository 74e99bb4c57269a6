"""A signal that came in is delivered, whatever happens before."""

import signal
import subprocess
import sys

import pytest

from testing import ROOT
from testing.namespaces import clean_environment

MEMORY_RUNS_OUT = """if True:
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
    mask = signals.block()
    print("ready", flush=True)
    main(["pyinit", *sys.argv[1:]], mask, {})
"""
"""As it will in places that a test cannot choose: thirty times, after the signal has been taken from the kernel."""

COUNT = "trap 'n=x$n' TERM; echo ready; while [ -z $n ]; do sleep 0.05; done; sleep 0.3; echo $n"


@pytest.mark.parametrize(
    ("words", "told"), [(["--", "sh", "-c", COUNT], ["ready", "ready", "x"]), (["--pause"], ["ready"])]
)
def test_a_signal_is_delivered_once_although_memory_runs_out_before(words: list[str], told: list[str]) -> None:
    """It has been taken from the kernel: nobody would send it again."""
    command = [sys.executable, "-c", MEMORY_RUNS_OUT, *words]
    with subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as init:
        assert init.stdout is not None
        lines = [init.stdout.readline() for line in told if line == "ready"]
        init.send_signal(signal.SIGTERM)
        out, err = init.communicate(timeout=60)
    assert (init.returncode, "".join(lines) + out, err) == (0, "".join(f"{line}\n" for line in told), "")
