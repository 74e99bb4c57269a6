"""Measures the time from the stop signal to the exit of PID 1, with a workload that exits at once."""

import os
import signal
import time

from bench.contenders import DIRECT, INTERPRETER, PYINIT, REFERENCE, Contender
from bench.figures import Collection, Measurement, Target, in_turns
from bench.setting import Setting

TEARDOWN = (
    "An interpreter that only waits for the signal and calls `_exit` takes 1.4 times as long as tini: it has more "
    "memory to free. The rest is Python code that runs with cold caches after the sleep."
)


def measure(setting: Setting) -> Measurement:
    """Start and stop each init, in turns."""
    rounds, seconds = (20, 4) if setting.quick else (60, 20)
    inits = {DIRECT: Contender(DIRECT), **setting.inits}
    taken = Collection(inits)
    taken.remark(INTERPRETER, "does not exit: without a handler, PID 1 ignores the signal")
    for number, name in in_turns(inits, rounds, seconds):
        with setting.contain(*inits[name].running(setting.probe("answer"))) as container:
            container.answers.read(1)  # it is ready
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
        [Target(f"time from SIGTERM to the end of PID 1: pyinit / {REFERENCE}", ratio, 2.0, reason=TEARDOWN)],
        "The time from a SIGTERM, sent to PID 1 from outside, until PID 1 has been waited for. The workload exits as "
        "soon as it gets the signal.",
    )
