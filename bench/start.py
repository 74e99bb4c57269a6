"""Measures the time until the workload runs, and the time of a whole run with an empty workload."""

from bench.container import Container
from bench.contenders import BESIDE, BY_PIP, DIRECT, INTERPRETER, PYINIT, REFERENCE, SUPERVISORD, Contender
from bench.figures import Collection, Measurement, Target, in_turns
from bench.setting import Setting

BECOME = "import posix, sys; posix.execv(sys.argv[1], sys.argv[1:])"
"""The lower bound for a workload started from Python: an interpreter that execs the workload, without an init."""

FORK = (
    "Forking a process as large as an interpreter takes as long as loading all modules before the fork. "
    "`posix_spawn(3)` would save most of that time, a sixth of the bare interpreter's. But with the GNU C library it "
    "leaves signals 32 and 33 ignored, and pyinit promises the workload the signals as PID 1 was given them."
)


def measure(setting: Setting) -> Measurement:
    """Run the empty workload under each init and without one, and the interpreter with nothing to do, in turns."""
    rounds, seconds = (30, 4) if setting.quick else (250, 30)
    names = [DIRECT, *setting.inits, BY_PIP, BESIDE, INTERPRETER]
    begun, taken = Collection(names), Collection(names)
    for name in names:  # fill the page cache
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
                "empty run: pyinit / bare interpreter",
                run.ratio(PYINIT, INTERPRETER),
                1.2,
                reason=FORK,
            ),
            Target(
                "empty run: pyinit, not PID 1 / bare interpreter", run.ratio(BESIDE, INTERPRETER), 1.35, reason=FORK
            ),
            Target("time until the workload runs: supervisord / pyinit", faster, 4, at_least=True),
        ],
        "The time from the `exec` of the init until a static C program reads the clock in the first line of `main`, "
        "and until PID 1 has been waited for. For the interpreter, `python3 -I -S`, the first value is the time until "
        "it has exec'ed that program, and the second a run with nothing to do (`-c pass`). "
        f"`{BY_PIP}` is the command of an installed wheel, in a virtual environment.",
    )


def _run(setting: Setting, name: str) -> tuple[float, float]:
    """Milliseconds until the workload runs, and until PID 1 has exited."""
    empty = setting.probe("first")
    if name == INTERPRETER:
        with setting.contain(*setting.bare_interpreter("pass")) as container:
            began, ended = container.life()
        until_begun, _ = _time(setting.contain(*setting.bare_interpreter(BECOME, empty)))
        return until_begun, (ended - began) / 1e6
    if name == BESIDE:
        return _time(setting.beside(*setting.inits[PYINIT].running(empty)))
    if name == BY_PIP:
        assert setting.by_pip
        return _time(setting.contain(*setting.by_pip.running(empty)))
    return _time(setting.contain(*setting.inits.get(name, Contender(DIRECT)).running(empty)))


def _time(container: Container) -> tuple[float, float]:
    with container:
        began, ended = container.life()  # first, so that we do not wake up while the init is still running
        begun = int(container.hear())
    return (begun - began) / 1e6, (ended - began) / 1e6
