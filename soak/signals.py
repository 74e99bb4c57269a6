"""Signals of all kinds, from inside and outside of the namespace."""

import random
from collections.abc import Sequence

from pyinit.kernel.signals import name_of
from soak.fault import Counts, Setting
from soak.hearing import Hearing, is_real_time, sendable
from soak.namespace import Namespace

NAME = "signals from inside and outside"

WARM_UP, ROUNDS, MEMBERS, SENDERS, REWRITES = 3, 12, 3, 3, 6

MOST = 800
"""Signals of one sender in one round. Pending signals must stay below RLIMIT_SIGPENDING: above it, kill(2) merges
real-time ones."""


def run(setting: Setting) -> Counts:
    """Send PID 1 all signals that can be caught, at random moments, from several senders at once, inside and outside
    of the namespace. The options are random: which processes get the signals (`--forward-to`), which signals are
    rewritten (`--rewrite`), and how much is logged. The workload and others in its process group count the signals that
    they receive.

    Of a real-time signal, every instance arrives. Of a standard signal, which absorbs further ones while it is pending,
    at least one arrives after the last one was sent. No signal arrives that was not sent.
    """
    chance = setting.chance
    numbers = sendable(chance)
    rewrites = _rewrites(chance, numbers)
    receivers = chance.choice(("child", "group", "all"))
    options = [f"--forward-to={receivers}", *chance.choice(((), ("-vvv",), ("-v", "--log-format=json")))]
    options += [f"--rewrite={name_of(old)}:{name_of(new) if new else 0}" for old, new in rewrites.items()]
    with Namespace(setting, options, Hearing.command(setting, MEMBERS)) as namespace:
        namespace.hear()
        hearing = Hearing(setting, namespace, rewrites, MEMBERS, receivers != "child")
        for turn in range(WARM_UP + ROUNDS):
            for _ in range(SENDERS):
                chosen = chance.sample(numbers, chance.randint(1, len(numbers)))
                hearing.send(chance.random() < 0.5, chance.randint(1, MOST), chance.choice((0, 10, 1000)), chosen)
            hearing.await_senders()
            heard = hearing.await_arrival()
            if turn == WARM_UP - 1:
                before = namespace.measure()
        namespace.await_status(hearing.is_reported, f"real-time signals: {dict(hearing.sent.counts)}")
        namespace.check_growth(before)
        namespace.finish(9)
    return Counts(signals=heard, faults=WARM_UP + ROUNDS)


def _rewrites(chance: random.Random, numbers: Sequence[int]) -> dict[int, int]:
    """Random rewrites: a real-time signal to a real-time one, a standard signal to a standard one, or either to 0."""
    rewrites = {}
    for old in chance.sample(numbers, chance.randint(0, REWRITES)):
        like = [number for number in numbers if is_real_time(number) == is_real_time(old)]
        rewrites[old] = chance.choice((0, *like))
    return rewrites
