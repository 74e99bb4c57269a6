"""Measures the activity of an idle init."""

import contextlib
import time

from bench.contenders import DIRECT, INTERPRETER, PYINIT, Contender
from bench.figures import Collection, Measurement, Target
from bench.memory import SLEEP
from bench.setting import Setting

MINUTE = 60


def measure(setting: Setting) -> Measurement:
    """Run all inits at the same time, each with a workload that sleeps, and count what they do."""
    seconds = 5 if setting.quick else MINUTE
    commands = {
        name: init.running(setting.probe("storm"))
        for name, init in {DIRECT: Contender(DIRECT), **setting.inits}.items()
    }
    commands[INTERPRETER] = setting.bare_interpreter(SLEEP)
    switches, running = Collection(commands), Collection(commands)
    with contextlib.ExitStack() as stack:
        containers = {name: stack.enter_context(setting.contain(*command)) for name, command in commands.items()}
        for container in containers.values():
            container.hear()
        for container in containers.values():
            container.settle()
        before = {name: (each.context_switches(), each.processor_time()) for name, each in containers.items()}
        time.sleep(seconds)
        for name, container in containers.items():
            switched, ran = before[name]
            switches.add(0, name, (container.context_switches() - switched) * MINUTE / seconds)
            running.add(0, name, (container.processor_time() - ran) * 1e3 * MINUTE / seconds)
    wakes = switches.quantity("wake-ups a minute", "")
    return Measurement(
        "idle",
        f"Idle for {seconds} seconds",
        [wakes, running.quantity("CPU time a minute", "ms")],
        [Target("wake-ups of pyinit per minute when idle", wakes.series[PYINIT].median, 0)],
        "All inits run at the same time, each with a workload that sleeps. Wake-ups are context switches, voluntary "
        "and involuntary. Those of the init's helpers (s6-supervise, the event listener of supervisord) count, those "
        "of the workload do not.",
    )
