"""Measures how long PID 1 takes to end once it is told to, with a workload that ends at once."""

import os
import signal
import time

from bench.contenders import DIRECT, INTERPRETER, PYINIT, REFERENCE, Contender
from bench.figures import Collection, Measurement, Target, in_turns
from bench.setting import Setting

TEARDOWN = (
    "An interpreter that only waits for the signal and then calls `_exit` takes 1.4 times as long as tini: it has more "
    "memory to give back. The rest is Python, run cold after the sleep."
)


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
            os.kill(container.init, signal.SIGTERM)
            _, ended = container.life()
        taken.add(number, name, (ended - stopped) / 1e6)
    quantity = taken.quantity("SIGTERM to the end of PID 1", "ms", REFERENCE)
    ratio = quantity.ratio(PYINIT, REFERENCE)
    return Measurement(
        "ending",
        "From the stop signal to the end",
        [quantity],
        [Target(f"SIGTERM to the end of pyinit, times that of {REFERENCE}", ratio, 2.0, reason=TEARDOWN)],
        "SIGTERM from outside to PID 1, whose workload exits at once when it gets that, until PID 1 has been waited "
        "for.",
    )
