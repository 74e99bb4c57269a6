"""Measures the time of a signal from outside through the init to the workload, and of the workload's answer."""

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
"""Microseconds between an answer and the next signal, so that the init is asleep, as it usually is."""

BYTECODE = (
    "Between the wake-up of PID 1 and its `kill(2)`, Python code runs for some ten microseconds. All accounting comes "
    "after that."
)


def measure(setting: Setting) -> Measurement:
    """Send a few hundred signals to each init, in turns, on an idle machine and on a busy one.

    Each round starts the init anew, since the processor that a process happens to start on matters more than the init.
    """
    idle = _ping_all(setting, "idle", 10 if setting.quick else 40)
    with setting.load():
        busy = _ping_all(setting, "under load", 4 if setting.quick else 20)
    ratio = idle[0].ratio(PYINIT, REFERENCE)
    return Measurement(
        "signals",
        "From a signal to the workload's answer",
        [*idle, *busy],
        [Target(f"signal p50 on an idle machine: pyinit / {REFERENCE}", ratio, 1.05, reason=BYTECODE)],
        "PID 1 gets SIGUSR1 from outside, and the workload answers with a byte through a pipe. Each of the *n* starts "
        f"gets {SIGNALS} signals. p50 and p99 are taken for each start, the worst value over all starts. Under load, "
        "every processor also runs a busy loop at the same priority. s6 forwards the signal by a script that its user "
        "has to write: `.s6-svscan/SIGUSR1`, which runs `s6-svc -1`.",
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
    """Microseconds from each signal to its answer; empty if the first was not answered."""
    with setting.contain(*init.running(setting.probe("answer"))) as container:
        command = [setting.probe("ping"), str(container.init), str(WARMING_UP + SIGNALS), str(PAUSE)]
        ping = subprocess.run(command, stdin=container.answers, stdout=subprocess.PIPE, text=True, check=False)
    if ping.returncode not in (0, -signal.SIGALRM):
        raise Failed(f"signals through {init.name} could not be measured")
    return [int(line) / 1e3 for line in ping.stdout.split()][WARMING_UP:]
