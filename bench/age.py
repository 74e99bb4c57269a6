"""Measures how much an init's memory has grown after it has reaped many orphans."""

import time
from concurrent.futures import ThreadPoolExecutor

from bench.contenders import PYINIT, Contender
from bench.figures import Collection, Measurement, Target
from bench.memory import DIRTY, KINDS
from bench.reaping import NO_REAPERS, SLOW
from bench.setting import Setting

SIBLINGS = 50
"""Orphans of each parent. With one orphan each, starting the parents would take half of the time."""
BATCH = 1_000
PATIENCE = 5
"""Seconds after which a slow init is given up."""
TOO_SLOW = f"not tried, reaps fewer than {SLOW:,} a second"
AT_ONCE = 2
"""Inits measured at the same time. They do not affect each other's memory."""
NOISE = 64
"""kB of growth that is not a leak: a longer free list, a page of the allocator touched for the first time."""
GROWTH = f"growth of {DIRTY}"


def measure(setting: Setting) -> Measurement:
    """Read the memory of each init before and after it reaps."""
    orphans = 20_000 if setting.quick else 1_000_000
    found = {what: Collection(setting.inits) for what in (*KINDS, GROWTH)}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        aged = pool.map(lambda init: _age(setting, init, orphans), setting.inits.values())
        for name, memory in zip(setting.inits, aged, strict=True):
            for what, collection in found.items():
                if memory:
                    collection.add(0, name, memory[what])
                else:
                    collection.remark(name, TOO_SLOW)
    for collection in found.values():
        for name, remark in NO_REAPERS.items():
            collection.remark(name, remark)
    quantities = [collection.quantity(what, "kB") for what, collection in found.items()]
    growth = quantities[-1].series[PYINIT].median
    return Measurement(
        "age",
        f"Memory after {orphans:,} orphans",
        quantities,
        [Target(f"growth of pyinit's private dirty memory over {orphans:,} orphans", growth, NOISE, "kB")],
        f"The same for one init that has reaped this many orphans, {SIBLINGS} siblings at a time. Growth below {NOISE} "
        "kB is ignored: the allocator touches some of its pages late.",
    )


def _age(setting: Setting, init: Contender, orphans: int) -> dict[str, int] | None:
    """The init's memory by kind after reaping `orphans`, and its growth; None if the init is too slow."""
    with setting.contain(*init.running(setting.probe("storm"))) as container:
        container.hear()
        container.settle()
        young = container.memory(KINDS[DIRTY])
        began = time.monotonic()
        for reaped in range(BATCH, orphans + 1, BATCH):
            container.ask(f"{BATCH} {SIBLINGS}")
            elapsed = time.monotonic() - began
            if elapsed > PATIENCE and reaped / elapsed < SLOW:
                return None
        container.settle()
        old = {kind: container.memory(field) for kind, field in KINDS.items()}
        return {**old, GROWTH: old[DIRTY] - young}
