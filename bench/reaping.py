"""Measures how many orphans a second are reaped: those of a fork storm, and a crowd that comes at once."""

from bench.contenders import PYINIT, REFERENCE
from bench.figures import Collection, Measurement, Target, in_turns
from bench.setting import Setting

ORPHANS = 1_000
"""In one storm: a tenth or two of a second. Many short storms tell more than few long ones on a shared machine."""


def measure(setting: Setting) -> Measurement:
    """Have each init reap what the storm probe leaves behind, in turns."""
    rounds = 12 if setting.quick else 80
    stormed, crowded = Collection(setting.inits), Collection(setting.inits)
    for names in in_turns(setting.inits, rounds):
        for name in names:
            with setting.contain(*setting.inits[name].running(setting.probe("storm"))) as container:
                container.hear()
                container.tell(f"{ORPHANS} 1")
                since_start, _ = map(int, container.hear().split())
                container.tell(f"{ORPHANS} {ORPHANS}")
                _, since_left = map(int, container.hear().split())
            stormed.add(name, ORPHANS / since_start * 1e9)
            crowded.add(name, ORPHANS / since_left * 1e9)
    storm = stormed.quantity("storm", "orphans/s", REFERENCE)
    ratio = storm.ratio(PYINIT, REFERENCE)
    return Measurement(
        "reaping",
        f"Orphans reaped a second, until the last has gone ({rounds} times {ORPHANS:,} each)",
        [storm, crowded.quantity("all at once", "orphans/s", REFERENCE)],
        [Target(f"orphans a second under a storm, times those of {REFERENCE}", ratio, 0.8, at_least=True)],
    )
