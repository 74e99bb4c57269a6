"""Measures how long a signal takes from outside, through the init, to the workload, and its answer back."""

import signal
import statistics
import subprocess

from bench.contenders import DIRECT, INTERPRETER, PYINIT, REFERENCE, Contender
from bench.figures import Collection, Measurement, Quantity, Target, in_turns
from bench.setting import Setting
from testing.waiting import Failed

SIGNALS = 300
WARMING_UP = 20
PAUSE = 200
"""Microseconds between an answer and the next signal: the init shall be found asleep, as it mostly is."""

BYTECODE = (
    "From the wake-up of PID 1 to its `kill(2)` there is Python to run, some ten microseconds of it; all accounting "
    "comes behind."
)


def measure(setting: Setting) -> Measurement:
    """Send a few hundred signals to each init, in turns, on an idle machine and on a busy one.

    A new init each time, since the placement on processors, luck of a start, decides more than the init does.
    """
    idle = _ping_all(setting, "idle", 10 if setting.quick else 40)
    with setting.load():
        busy = _ping_all(setting, "under load", 4 if setting.quick else 20)
    ratio = idle[0].ratio(PYINIT, REFERENCE)
    return Measurement(
        "signals",
        "Signal in, to the workload's answer",
        [*idle, *busy],
        [Target(f"p50 under pyinit on an idle machine, times that under {REFERENCE}", ratio, 1.05, reason=BYTECODE)],
        f"SIGUSR1 from outside to PID 1; the workload answers with a byte through a pipe. {SIGNALS} signals to each of "
        "the *n* starts; p50 and p99 are those of a start, the worst is that of all. Under load, a loop runs on every "
        "processor meanwhile, at the same priority. s6 forwards by a script that its user has to write: "
        "`.s6-svscan/SIGUSR1`, which runs `s6-svc -1`.",
    )


def _ping_all(setting: Setting, circumstances: str, rounds: int) -> list[Quantity]:
    inits = {DIRECT: Contender(DIRECT), **setting.inits}
    typical, slow, worst = Collection(inits), Collection(inits), Collection(inits)
    extremes: dict[str, float] = {}
    silent = {INTERPRETER: "starts no workload, forwards nothing"}
    for number, name in in_turns(inits, rounds):
        if name in silent:
            continue
        microseconds = _ping(setting, inits[name])
        if microseconds:
            typical.add(number, name, statistics.median(microseconds))
            slow.add(number, name, statistics.quantiles(microseconds, n=100)[-1])
            extremes[name] = max(extremes.get(name, 0), *microseconds)
        elif name in (PYINIT, REFERENCE) or name in extremes:
            raise Failed(f"a signal through {name} was not answered")
        else:
            silent[name] = "does not forward SIGUSR1"
    for name, most in extremes.items():
        worst.add(0, name, most)
    for name, remark in silent.items():
        for collection in (typical, slow, worst):
            collection.remark(name, remark)
    return [
        typical.quantity("p50", "µs", REFERENCE, group=circumstances),
        slow.quantity("p99", "µs", REFERENCE, group=circumstances),
        worst.quantity("worst", "µs", group=circumstances),
    ]


def _ping(setting: Setting, init: Contender) -> list[float]:
    """Microseconds from each signal to its answer; empty if the first had none."""
    with setting.contain(*init.running(setting.probe("answer"))) as container:
        command = [setting.probe("ping"), str(container.init), str(WARMING_UP + SIGNALS), str(PAUSE)]
        ping = subprocess.run(command, stdin=container.answers, stdout=subprocess.PIPE, text=True, check=False)
    if ping.returncode not in (0, -signal.SIGALRM):
        raise Failed(f"signals through {init.name} could not be measured")
    return [int(line) / 1e3 for line in ping.stdout.split()][WARMING_UP:]
