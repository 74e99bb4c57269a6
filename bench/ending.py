"""Measures how long PID 1 takes to end once it is told to, with a workload that ends at once."""

import os
import signal
import time

from bench.contenders import DIRECT, INTERPRETER, REFERENCE, Contender
from bench.figures import Collection, Measurement, in_turns
from bench.setting import Setting


def measure(setting: Setting) -> Measurement:
    """Start and stop each init, in turns."""
    rounds, seconds = (20, 4) if setting.quick else (60, 20)
    inits = {DIRECT: Contender(DIRECT), **setting.inits}
    taken = Collection(inits)
    taken.remark(INTERPRETER, "does not end: PID 1 without a handler ignores the signal")
    for number, name in in_turns(inits, rounds, seconds):
        with setting.contain(*inits[name].running(setting.probe("answer"))) as container:
            container.answers.read(1)  # it listens
            container.settle(quiet=0.02)
            stopped = time.monotonic_ns()
            os.kill(container.pid, signal.SIGTERM)
            _, ended = container.life()
        taken.add(number, name, (ended - stopped) / 1e6)
    return Measurement(
        "ending",
        "From the stop signal to the end",
        [taken.quantity("SIGTERM to the end of PID 1", "ms", REFERENCE)],
        [],
        "SIGTERM from outside to PID 1, whose workload exits at once when it gets that, until PID 1 has been waited "
        "for.",
    )
