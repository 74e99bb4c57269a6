"""Measures how long `docker stop` takes with a workload that exits at once."""

import time

from bench.contenders import PYINIT, REFERENCE
from bench.engine import Engine
from bench.figures import Collection, Measurement, Target, in_turns
from bench.setting import Setting
from testing.waiting import Failed

CONTENDERS = (PYINIT, REFERENCE)
"""Only these two: the engine's own work for a stop takes 0.1 s and varies by a tenth of that, which is more than an
init takes. So the verdict needs as many rounds of each as fit into a minute."""
WORKLOAD = ("sh", "-c", "echo ready && exec sleep infinity")
TERMINATED = 143

ACCOUNT = (
    "After a workload has exited because of a stop signal, pyinit takes some milliseconds to find out which resources "
    "the workload used (for the report) and whether any process is left."
)


def measure(setting: Setting) -> Measurement:
    """Start and stop containers of the same image with each init as ENTRYPOINT, in turns."""
    rounds = 10 if setting.quick else 70
    returned, died = Collection(CONTENDERS), Collection(CONTENDERS)
    assert setting.engine
    for name in CONTENDERS:  # fill the page cache
        _stop(setting.engine, name)
    for number, name in in_turns(CONTENDERS, rounds):
        until_returned, until_died = _stop(setting.engine, name)
        returned.add(number, name, until_returned)
        died.add(number, name, until_died)
    stop = returned.quantity("until it returns", "ms", REFERENCE)
    ratio = stop.ratio(PYINIT, REFERENCE)
    return Measurement(
        "stop",
        "docker stop of a workload that sleeps",
        [stop, died.quantity('until the event "die"', "ms", REFERENCE)],
        [Target(f"docker stop: pyinit / {REFERENCE}", ratio, 1.05, reason=ACCOUNT)],
        "Containers of a real engine, whose own work takes most of the time.",
    )


def _stop(engine: Engine, init: str) -> tuple[float, float]:
    """Milliseconds from the call of a stop until it returned, and until the engine reported that the container died."""
    with engine.running(init, *WORKLOAD) as container:
        # Two clocks: the engine dates its events by the time of day, which may be changed while we measure.
        called, began = time.time_ns(), time.monotonic_ns()
        container.stop()
        returned = time.monotonic_ns() - began
        status, died = engine.end_of(container, called)
    if status != TERMINATED:
        raise Failed(f"a stopped container with {init} exited with {status}, not {TERMINATED}")
    return returned / 1e6, (died - called) / 1e6
