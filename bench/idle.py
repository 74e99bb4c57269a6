"""Measures how often an init wakes up when there is nothing to do."""

import contextlib
import time

from bench.contenders import PYINIT
from bench.figures import Collection, Measurement, Target
from bench.setting import Setting


def measure(setting: Setting) -> Measurement:
    """Leave all inits alone, at the same time, each with a workload that sleeps."""
    seconds = 5 if setting.quick else 30
    switches = Collection(setting.inits)
    with contextlib.ExitStack() as stack:
        containers = {
            name: stack.enter_context(setting.contain(*init.running(setting.probe("storm"))))
            for name, init in setting.inits.items()
        }
        for container in containers.values():
            container.hear()
            container.settle()
        before = {name: container.context_switches() for name, container in containers.items()}
        time.sleep(seconds)
        for name, container in containers.items():
            switches.add(name, container.context_switches() - before[name])
    idle = switches.quantity("context switches", "")
    return Measurement(
        "idle",
        f"Idle for {seconds} seconds",
        [idle],
        [Target("context switches of pyinit", idle.series[PYINIT].median, 0)],
    )
