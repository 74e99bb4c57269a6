"""Measures how long a `docker stop` takes, for a workload that ends at once when it is asked to."""

import time

from bench.contenders import PYINIT, REFERENCE
from bench.engine import Engine
from bench.figures import Collection, Measurement, Target, in_turns
from bench.setting import Setting
from testing.waiting import Failed

CONTENDERS = (PYINIT, REFERENCE)
"""Not all: the engine's own work for a stop, a tenth of a second, varies by a tenth of that from one to the next, more
than an init takes, so that the verdict needs every round that fits into a minute."""
WORKLOAD = ("sh", "-c", "echo ready && exec sleep infinity")
TERMINATED = 143

ACCOUNT = (
    "Where a workload that is told to stop ends, pyinit takes some milliseconds to find out what it took (for the "
    "report) and whether anybody is left."
)


def measure(setting: Setting) -> Measurement:
    """Start and stop containers of one image with one init or the other as ENTRYPOINT, in turns."""
    rounds = 10 if setting.quick else 70
    returned, died = Collection(CONTENDERS), Collection(CONTENDERS)
    assert setting.engine
    for name in CONTENDERS:  # once for the page cache
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
        [Target(f"a docker stop under pyinit, times that under {REFERENCE}", ratio, 1.05, reason=ACCOUNT)],
        "In containers of a real engine, whose own work takes most of the time.",
    )


def _stop(engine: Engine, init: str) -> tuple[float, float]:
    """Milliseconds from the call of a stop until it has returned, and until the engine said that the container died."""
    with engine.running(init, *WORKLOAD) as container:
        # Two clocks: the engine dates its events by the time of day, which may be set while we measure.
        called, began = time.time_ns(), time.monotonic_ns()
        container.stop()
        returned = time.monotonic_ns() - began
        status, died = engine.end_of(container, called)
    if status != TERMINATED:
        raise Failed(f"a stopped container with {init} ended with {status}, not {TERMINATED}")
    return returned / 1e6, (died - called) / 1e6
