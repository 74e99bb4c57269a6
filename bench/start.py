"""Measures how long an empty run takes: from the exec of the init until it has been waited for."""

from collections.abc import Sequence

from bench.contenders import DIRECT, INTERPRETER, PYINIT, REFERENCE
from bench.figures import Collection, Measurement, Target, in_turns
from bench.setting import Setting


def measure(setting: Setting) -> Measurement:
    """Run the empty workload under each init, alone, and the interpreter with nothing to do, in turns."""
    rounds = 40 if setting.quick else 250
    empty = setting.probe("empty")
    commands = {
        DIRECT: (empty,),
        **{name: init.running(empty) for name, init in setting.inits.items()},
        INTERPRETER: setting.bare_interpreter("pass"),
    }
    for command in commands.values():  # once for the page cache
        _time(setting, command)
    taken = Collection(commands)
    for names in in_turns(commands, rounds):
        for name in names:
            taken.add(name, _time(setting, commands[name]))
    run = taken.quantity("run", "ms", REFERENCE, INTERPRETER)
    ratio = run.ratio(PYINIT, INTERPRETER)
    return Measurement(
        "start",
        f"Start and end of an empty static workload ({rounds} runs each)",
        [run],
        [Target("an empty run under pyinit, times that of a bare interpreter", ratio, 1.35)],
    )


def _time(setting: Setting, command: Sequence[str]) -> float:
    with setting.contain(*command) as container:
        return container.duration() / 1e6
