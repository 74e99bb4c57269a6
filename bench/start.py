"""Measures how long it takes until the workload runs, and how long an empty run takes from beginning to end."""

from bench.container import Container
from bench.contenders import BESIDE, DIRECT, INTERPRETER, PYINIT, REFERENCE, SUPERVISORD, Contender
from bench.figures import Collection, Measurement, Target, in_turns
from bench.setting import Setting

BECOME = "import posix, sys; posix.execv(sys.argv[1], sys.argv[1:])"
"""The floor for a workload started from Python: an interpreter that becomes the workload, without an init."""

FORK = (
    "The fork of a process as large as an interpreter takes as long as all that is loaded before it. `posix_spawn(3)` "
    "would save most of that, a sixth of the bare interpreter's time, but with the GNU C library it leaves signals 32 "
    "and 33 ignored, and the workload is promised the signals as PID 1 was given them."
)


def measure(setting: Setting) -> Measurement:
    """Run the empty workload under each init, alone, and the interpreter with nothing to do, in turns."""
    rounds, seconds = (30, 4) if setting.quick else (250, 30)
    names = [DIRECT, *setting.inits, BESIDE, INTERPRETER]
    begun, taken = Collection(names), Collection(names)
    for name in names:  # once for the page cache
        _run(setting, name)
    for number, name in in_turns(names, rounds, seconds):
        until_begun, until_ended = _run(setting, name)
        begun.add(number, name, until_begun)
        taken.add(number, name, until_ended)
    workload = begun.quantity("until the workload runs", "ms", REFERENCE, INTERPRETER)
    run = taken.quantity("whole run", "ms", REFERENCE, INTERPRETER)
    faster = workload.ratio(SUPERVISORD, PYINIT)
    return Measurement(
        "start",
        "Start of an empty workload",
        [workload, run],
        [
            Target(
                "an empty run under pyinit, times that of a bare interpreter",
                run.ratio(PYINIT, INTERPRETER),
                1.2,
                reason=FORK,
            ),
            Target("the same, where pyinit is not PID 1", run.ratio(BESIDE, INTERPRETER), 1.35, reason=FORK),
            Target("the workload runs this many times sooner than under supervisord", faster, 4, at_least=True),
        ],
        "From the `exec` of the init until the first line of `main` in a static C program, which reads the clock, and "
        "until PID 1 has been waited for. The interpreter is `python3 -I -S`: until it has become that program, and "
        "with nothing to do (`-c pass`).",
    )


def _run(setting: Setting, name: str) -> tuple[float, float]:
    """Milliseconds until the workload runs, and until PID 1 has ended."""
    empty = setting.probe("first")
    if name == INTERPRETER:
        with setting.contain(*setting.bare_interpreter("pass")) as container:
            began, ended = container.life()
        until_begun, _ = _time(setting.contain(*setting.bare_interpreter(BECOME, empty)))
        return until_begun, (ended - began) / 1e6
    if name == BESIDE:
        return _time(setting.beside(*setting.inits[PYINIT].running(empty)))
    return _time(setting.contain(*setting.inits.get(name, Contender(DIRECT)).running(empty)))


def _time(container: Container) -> tuple[float, float]:
    with container:
        began, ended = container.life()  # first, so that nobody wakes beside an init that is about to end
        begun = int(container.hear())
    return (begun - began) / 1e6, (ended - began) / 1e6
