"""Measures the cost of looking at many processes: ``--zombie-watch``, ``pyinitctl zombies``, ``pyinitctl host``."""

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
NAMESPACES = 2_000
"""PID namespaces that ``pyinitctl host`` finds these processes in."""
INTERVAL = 1
"""Seconds between two looks."""


def measure(setting: Setting) -> Measurement:
    """Measure ``--zombie-watch`` in one container with a crowd, and the two commands in others."""
    looks = 3 if setting.quick else 10
    watch, zombies, host = Collection([PYINIT]), Collection([PYINIT]), Collection([PYINIT])
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
            zombies.add(number, PYINIT, _seconds(setting, container, "zombies", f"\n{ZOMBIES} zombies\n") * 1000)
    containers = setting.probe("namespaces"), str(NAMESPACES), str(PROCESSES // NAMESPACES)
    with setting.contain(launcher, "--", *containers) as container:
        container.hear()
        container.settle()
        for number in range(looks):
            text = f"\n{NAMESPACES + 1} containers, 1 with pyinit; 0 zombies\n"
            host.add(number, PYINIT, _seconds(setting, container, "host", text) * 1000)
    took, took_host = zombies.quantity("pyinitctl zombies", "ms"), host.quantity("pyinitctl host", "ms")
    return Measurement(
        "crowd",
        f"{PROCESSES:,} processes, {ZOMBIES} of them zombies",
        [watch.quantity("CPU time of a look (--zombie-watch)", "ms"), took, took_host],
        [
            Target("pyinitctl zombies", took.series[PYINIT].median, 500, "ms"),
            Target("pyinitctl host", took_host.series[PYINIT].median, 2000, "ms"),
        ],
        "The cost of looking for zombies: CPU time of PID 1 for each round of `--zombie-watch`, and elapsed time of "
        "`pyinitctl zombies`, which starts an interpreter and looks twice. `pyinitctl host` looks at as many processes "
        f"in {NAMESPACES:,} PID namespaces.",
    )


def _seconds(setting: Setting, container: Container, command: str, text: str) -> float:
    """Run a command of pyinitctl in the container, which is to print this text; return how many seconds it took."""
    ctl = Path(setting.inits[PYINIT].prefix[0]).with_name("pyinitctl")
    began = time.perf_counter()
    words = [*container.enter, str(ctl), command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    took = time.perf_counter() - began
    if text not in done.stdout:
        raise Failed(f"pyinitctl {command} exited with {done.returncode}: {done.stdout[-200:]}")
    return took
