"""Measures the cost of looking at many processes, in ``--zombie-watch`` and in ``pyinitctl zombies``."""

import subprocess
import time
from pathlib import Path

from bench.container import Container, processor_time
from bench.contenders import PYINIT
from bench.figures import Collection, Measurement, Target
from bench.setting import Setting
from testing.waiting import Failed

PROCESSES = 10_000
ZOMBIES = 100
INTERVAL = 1
"""Seconds between two looks."""


def measure(setting: Setting) -> Measurement:
    """Measure ``--zombie-watch`` in one container with a crowd, and ``pyinitctl zombies`` in another."""
    looks = 3 if setting.quick else 10
    watch, zombies = Collection([PYINIT]), Collection([PYINIT])
    launcher = setting.inits[PYINIT].prefix[0]
    crowd = setting.probe("crowd"), str(PROCESSES), str(ZOMBIES)
    with setting.contain(launcher, f"--zombie-watch={INTERVAL}", "--", *crowd) as container:
        container.hear()
        for number in range(looks):
            before = processor_time(container.init)
            time.sleep(INTERVAL)
            watch.add(number, PYINIT, (processor_time(container.init) - before) * 1000)
    with setting.contain(launcher, "--", *crowd) as container:
        container.hear()
        container.settle()
        for number in range(looks):
            zombies.add(number, PYINIT, _zombies(setting, container) * 1000)
    took = zombies.quantity("pyinitctl zombies", "ms")
    return Measurement(
        "crowd",
        f"{PROCESSES:,} processes, {ZOMBIES} of them zombies",
        [watch.quantity("CPU time of a look (--zombie-watch)", "ms"), took],
        [Target("pyinitctl zombies", took.series[PYINIT].median, 500, "ms")],
        "The cost of looking for zombies: CPU time of PID 1 for each round of `--zombie-watch`, and elapsed time of "
        "`pyinitctl zombies`, which starts an interpreter and looks twice.",
    )


def _zombies(setting: Setting, container: Container) -> float:
    """Run the command in the container, and return how many seconds it took."""
    ctl = Path(setting.inits[PYINIT].prefix[0]).with_name("pyinitctl")
    began = time.perf_counter()
    command = [*container.enter, str(ctl), "zombies"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode != 1 or f"\n{ZOMBIES} zombies\n" not in done.stdout:
        raise Failed(f"pyinitctl zombies exited with {done.returncode}: {done.stdout[-200:]}")
    return took
