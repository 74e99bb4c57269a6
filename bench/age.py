"""Measures what is left in an init's memory of a long life: many orphans reaped."""

import time
from concurrent.futures import ThreadPoolExecutor

from bench.contenders import PYINIT, Contender
from bench.figures import Collection, Measurement, Target
from bench.memory import DIRTY, KINDS
from bench.reaping import NO_REAPERS, SLOW
from bench.setting import Setting

SIBLINGS = 50
"""Orphans of one parent: with one each, starting the parents would take as long as all the rest."""
BATCH = 1_000
PATIENCE = 5
"""Seconds, after which whoever is slow is not waited for."""
TOO_SLOW = f"not tried, reaps fewer than {SLOW:,} a second"
AT_ONCE = 2
"""Inits that are measured at the same time: memory does not mind."""
NOISE = 64
"""kB: a free list that is a little longer, a page of malloc's that is touched late."""
GROWTH = f"growth of {DIRTY}"


def measure(setting: Setting) -> Measurement:
    """Have each init reap, and read its memory before and after."""
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
        [Target(f"growth of pyinit's private dirty over {orphans:,} orphans", growth, NOISE, "kB")],
        f"The same, of one init that has reaped so many, {SIBLINGS} siblings at a time. A growth of less than {NOISE} "
        "kB, pages of the allocator's that were touched late, counts as none.",
    )


def _age(setting: Setting, init: Contender, orphans: int) -> dict[str, int] | None:
    """Its memory by kind after so many orphans, and by how much it has grown; None where that would take too long."""
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
