"""Random trees of processes, of which many become orphans."""

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
    """Have a workload grow random trees of processes, thousands at a time: children that end before or after their
    parents, by exit or by a signal, waited for or not; daemons with sessions of their own, subreapers, programs that
    exec, leaders that their threads outlive, and orphans that ask to be traced.

    Of each it is known whether somebody else waits for it. So `pyinitctl status` has to tell the number of orphans to
    the last one; no zombie is left that PID 1 is the parent of, and the exit status is the workload's.
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
            raise Broken(f"there were {orphans} orphans, pyinitctl status has {seen}")
        namespace.check_growth(before)
        namespace.finish(7)
        counts["orphans"] += orphans
    return counts


def grow(namespace: Namespace, seed: int, count: int) -> int:
    """Grow a tree, wait until all in it have ended, and return how many orphans there have been since the start."""
    namespace.say(f"{seed} {count}")
    forked, waited = map(int, namespace.hear().split())
    return forked - waited
