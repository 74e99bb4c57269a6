"""Measures the memory of an idle init, and what is left of a long life in it."""

from bench.contenders import INTERPRETER, PYINIT, REFERENCE
from bench.figures import Collection, Measurement, Target, in_turns
from bench.setting import Setting

KINDS = {"private dirty": "Private_Dirty", "resident": "Rss", "proportional": "Pss"}
SLEEP = "import _signal, posix; posix.write(1, b'ready\\n'); _signal.pause()"
"""Both are compiled into the interpreter: importing them adds nothing to what it takes by itself."""
BATCH = 10_000
NOISE = 64
"""kB: a free list that is a little longer, a page of malloc's that is touched late."""


def measure(setting: Setting) -> Measurement:
    """Read the memory of each init with a sleeping workload, in turns; then that of one pyinit in a storm."""
    rounds = 3 if setting.quick else 7
    commands = {name: init.running(setting.probe("storm")) for name, init in setting.inits.items()}
    commands[INTERPRETER] = setting.bare_interpreter(SLEEP)
    found = {kind: Collection(commands) for kind in KINDS}
    for names in in_turns(commands, rounds):
        for name in names:
            with setting.contain(*commands[name]) as container:
                container.hear()
                container.settle()
                for kind, field in KINDS.items():
                    found[kind].add(name, container.memory(field))
    quantities = [found[kind].quantity(kind, "kB", REFERENCE, INTERPRETER) for kind in KINDS]
    orphans = 2 * BATCH if setting.quick else 20 * BATCH
    growth = _growth(setting, orphans)
    return Measurement(
        "memory",
        f"Memory when idle ({rounds} starts each)",
        quantities,
        [
            Target(
                "private dirty of pyinit, times that of a bare interpreter",
                quantities[0].ratio(PYINIT, INTERPRETER),
                1.2,
            ),
            Target(f"growth of pyinit's private dirty over {orphans:,} orphans", growth, NOISE, "kB"),
        ],
    )


def _growth(setting: Setting, orphans: int) -> int:
    """By how many kB `orphans` orphans have made the private dirty memory of one pyinit grow."""
    with setting.contain(*setting.inits[PYINIT].running(setting.probe("storm"))) as container:
        container.hear()
        container.settle()
        before = container.memory(KINDS["private dirty"])
        for _ in range(orphans // BATCH):
            container.tell(f"{BATCH} 1")
            container.hear()
        container.settle()
        return container.memory(KINDS["private dirty"]) - before
