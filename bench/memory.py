"""Measures the memory of an idle init."""

from bench.contenders import DIRECT, INTERPRETER, PYINIT, REFERENCE, Contender
from bench.figures import Collection, Measurement, Target, in_turns
from bench.setting import Setting

DIRTY = "private dirty"
KINDS = {DIRTY: "Private_Dirty", "resident": "Rss", "proportional": "Pss"}
SLEEP = "import _signal, posix; posix.write(1, b'ready\\n'); _signal.pause()"
"""Both modules are compiled into the interpreter, so importing them takes no extra memory."""

OWN_CODE = (
    "What pyinit adds to the interpreter is its own code: CPython keeps some hundred bytes for each function and one "
    "or two kilobytes for each class, besides their instructions. Code that few runs need is not loaded. Code that "
    "the shutdown needs is loaded ahead, since there may be no memory for it later. The rest is the loop."
)


def measure(setting: Setting) -> Measurement:
    """Read the memory of each init while its workload sleeps, in turns."""
    rounds = 3 if setting.quick else 7
    inits = {DIRECT: Contender(DIRECT), **setting.inits}
    names = [*inits, INTERPRETER]
    found = {kind: Collection(names) for kind in KINDS}
    for number, name in in_turns(names, rounds):
        bare = name == INTERPRETER
        command = setting.bare_interpreter(SLEEP) if bare else inits[name].running(setting.probe("storm"))
        with setting.contain(*command) as container:
            container.hear()
            container.settle()
            for kind, field in KINDS.items():
                found[kind].add(number, name, container.memory(field))
    quantities = [
        found[kind].quantity(kind, "kB", REFERENCE, *([INTERPRETER] if kind == DIRTY else [])) for kind in KINDS
    ]
    ratio = quantities[0].ratio(PYINIT, INTERPRETER)
    return Measurement(
        "memory",
        "Memory when idle",
        quantities,
        [Target("private dirty memory: pyinit / bare interpreter", ratio, 1.2, reason=OWN_CODE)],
        "The memory of the init and its helpers, from `smaps_rollup` (`proc(5)`), while they sleep. Private dirty is "
        "memory that nothing else uses. Resident includes memory that is shared with other processes, such as the "
        "interpreter's code. Proportional divides shared memory by the number of processes that share it. "
        f"`{DIRECT}` is the workload itself, a static C program.",
    )
