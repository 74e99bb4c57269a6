"""Random trees of processes, many of which become orphans."""

from soak.fault import Broken, Counts, Setting
from soak.namespace import Namespace

NAME = "random trees of processes"

OPTIONS = (
    (),
    ("-w",),
    ("-vv",),
    ("-g",),
    ("--zombie-watch=0.05",),
    ("--orphans=terminate",),
    ("--log-format=json", "-vvv"),
)
WARM_UP, ROUNDS, PROCESSES = 3, 8, 2000


def run(setting: Setting) -> Counts:
    """Let a workload grow random trees of thousands of processes. Children exit before or after their parents, by
    themselves or by a signal, and are waited for or not. There are daemons with their own sessions, subreapers,
    processes that exec, thread group leaders that exit before their threads, and orphans that ask to be traced.

    For each process it is known whether a process other than PID 1 waits for it. So `pyinitctl status` has to report
    the exact number of orphans. PID 1 has no zombie child, and the exit status is the workload's.
    """
    chance = setting.chance
    counts = Counts(faults=WARM_UP + ROUNDS)
    with Namespace(setting, chance.choice(OPTIONS), [str(setting.programs / "tree")]) as namespace:
        namespace.hear()
        for _ in range(WARM_UP):
            orphans = grow(namespace, chance.getrandbits(31), PROCESSES)
        before = namespace.measure()
        for _ in range(ROUNDS):
            orphans = grow(namespace, chance.getrandbits(31), chance.randint(1, 2 * PROCESSES))
        namespace.await_rest()
        seen = namespace.await_status(lambda seen: seen["orphans_reaped"] >= orphans, f"{orphans} orphans")
        if seen["orphans_reaped"] != orphans or seen["stage"] != "running":
            raise Broken(f"there were {orphans} orphans, but pyinitctl status reports {seen}")
        namespace.check_growth(before)
        namespace.finish(7)
        counts["orphans"] += orphans
    return counts


def grow(namespace: Namespace, seed: int, count: int) -> int:
    """Grow a tree, wait until all its processes have exited, and return the number of orphans since the start."""
    namespace.say(f"{seed} {count}")
    forked, waited = map(int, namespace.hear().split())
    return forked - waited
