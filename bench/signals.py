"""Measures how long a signal takes from outside, through the init, to the workload, and its answer back."""

import statistics
import subprocess

from bench.container import Failed
from bench.contenders import DIRECT, PYINIT, REFERENCE, Contender
from bench.figures import Collection, Measurement, Target, in_turns
from bench.setting import Setting

SIGNALS = 300
WARMING_UP = 20
PAUSE = 200
"""Microseconds between an answer and the next signal: the init shall be found asleep, as it mostly is."""


def measure(setting: Setting) -> Measurement:
    """Send a few hundred signals to each init, in turns.

    A new init each time, since the placement on processors, luck of a start, decides more than the init does.
    """
    rounds = 10 if setting.quick else 40
    inits = {DIRECT: Contender(DIRECT), **setting.inits}
    typical, slow = Collection(inits), Collection(inits)
    for names in in_turns(inits, rounds):
        for name in names:
            microseconds = _ping(setting, inits[name])
            typical.add(name, statistics.median(microseconds))
            slow.add(name, statistics.quantiles(microseconds, n=100)[-1])
    p50 = typical.quantity("p50", "µs", REFERENCE)
    ratio = p50.ratio(PYINIT, REFERENCE)
    return Measurement(
        "signals",
        f"Signal in, to the workload's answer ({rounds} starts each, {SIGNALS} signals a start)",
        [p50, slow.quantity("p99", "µs", REFERENCE)],
        [Target(f"p50 under pyinit, times that under {REFERENCE}", ratio, 1.25)],
    )


def _ping(setting: Setting, init: Contender) -> list[float]:
    with setting.contain(*init.running(setting.probe("answer"))) as container:
        command = [setting.probe("ping"), str(container.pid), str(WARMING_UP + SIGNALS), str(PAUSE)]
        ping = subprocess.run(command, stdin=container.answers, stdout=subprocess.PIPE, text=True, check=False)
    if ping.returncode:
        raise Failed(f"signals through {init.name} were not answered")
    return [int(line) / 1e3 for line in ping.stdout.split()][WARMING_UP:]
