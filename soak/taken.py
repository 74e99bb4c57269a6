"""What PID 1 could depend on is taken away while it starts."""

import random
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from soak import damage
from soak.damage import Damage
from soak.fault import Broken, Counts, Setting
from soak.namespace import Namespace

NAME = "descriptors, memory and the package, taken away in the first milliseconds"

_AT_ONCE = 4
_KINDS = (damage.DESCRIPTORS, damage.MEMORY, damage.PACKAGE)
_EACH = 3
"""Containers of each kind in one run."""
_OPTIONS = ("--log-format=json", "-vv", "--exit-report=always", "--drain-timeout=0.7", "--stop-timeout=0.5")
_MORE_OPTIONS = ((), ("--zombie-watch=0.05",), ("--orphans=terminate",), ("-w",))
_STANDARD = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGWINCH)
_REAL_TIME = [signal.SIGRTMIN + number for number in (1, 3, 7)]


def run(setting: Setting) -> Counts:
    """Let a workload take something away from PID 1 as its first act, or up to 40 ms later: descriptors (prlimit(2),
    with a limit from 0 to 7), memory (the address space or the data segment may not grow any more), or the package
    with the compiled file (deleted, covered or replaced). Then send signals, make orphans, and end with stragglers,
    some of which ignore SIGTERM; or let the stop timeout pass.

    Every signal arrives, every orphan is reaped, every straggler is asked, or killed if it does not heed. The status is
    right, and the report counts them and says why the container ended. Nothing is complained of twice, and nothing at
    all if PID 1 can still open a file.
    """
    counts = Counts()
    runs = []
    for number, acts in enumerate(_KINDS * _EACH):
        folder = setting.folder / str(number)
        folder.mkdir()
        mine = replace(setting, folder=folder, chance=random.Random(setting.chance.getrandbits(32)))
        runs.append((mine, damage.draw(mine, acts)))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for counted in pool.map(lambda one: _contain(*one), runs):
            counts += counted
    return counts


def _contain(setting: Setting, taken: Damage) -> Counts:
    chance = setting.chance
    # A standard signal absorbs further ones while it is pending.
    sent = chance.sample(_STANDARD, chance.randint(0, len(_STANDARD))) + chance.choices(_REAL_TIME, k=20)
    orphans, heeding, stubborn = chance.randint(1, 300), chance.randint(0, 5), chance.randint(0, 2)
    is_deaf, status = chance.random() < 0.3, chance.randint(0, 120)
    acts = f"block say ready hear {len(sent)} orphans {orphans} await-gone start {heeding} start-stubborn {stubborn}"
    end = "ignore 15 say ready pause" if is_deaf else f"exit {status}"
    options = [*_OPTIONS, *chance.choice(_MORE_OPTIONS)]
    workload = taken.workload(setting, *acts.split(), *end.split())
    with Namespace(setting, options, workload, before=taken.before(setting)) as namespace:
        said = [namespace.hear()]
        for number in sent:
            namespace.signal(number)
        said += [namespace.hear() for _ in range(len(sent) + 1)]
        if is_deaf:
            said.append(namespace.hear())
            namespace.signal(signal.SIGTERM)
        namespace.await_end(128 + signal.SIGKILL if is_deaf else status)
        assert namespace.process.stdout
        said += namespace.process.stdout.read().decode().split("\n")[:-1]
        heard = [str(int(number)) for number in sent]
        expected = Counter(["ready", *heard, "gone", *["ready"] * is_deaf, *["asked"] * heeding])
        if Counter(said) != expected:
            raise Broken(f"{taken}: the workload said {dict(Counter(said))} instead of {dict(expected)}")
        _check_log(namespace.events(), taken, len(sent), orphans, (heeding, stubborn), is_deaf)
    return Counts(faults=1, signals=len(sent), orphans=orphans)


def _check_log(
    events: Sequence[Mapping[str, Any]],
    taken: Damage,
    signals: int,
    orphans: int,
    stragglers: tuple[int, int],
    is_deaf: bool,
) -> None:
    """Check what the log says: the report, the signals, and the complaints.

    Raises:
        Broken: something is missing, wrong or repeated.
    """
    (report,) = [event for event in events if event["event"] == "ended"]
    ended, killed = stragglers
    seen = {
        "orphans": report["orphans_reaped"],
        "signals": sum(event["event"] == "signal" for event in events),
        "killed by": (report["signal"], report["killed_by"]) if is_deaf else report["killed_by"],
    }
    wanted: dict[str, object] = {
        "orphans": orphans + ended + killed,
        "signals": signals + is_deaf,
        "killed by": ("SIGTERM", "SIGKILL") if is_deaf else None,
    }
    if taken.can_open_files:
        seen["stragglers"] = (report["stragglers_ended"], report["stragglers_killed"])
        wanted["stragglers"] = stragglers
    if seen != wanted:
        raise Broken(f"{taken}: the log reports {seen} instead of {wanted}; the report: {report['message']}")
    complaints = Counter(
        event["message"]
        for event in events
        if event["level"] in ("warning", "error") and event["event"] not in ("ended", "reaped", "zombies")
    )
    if any(count > 1 for count in complaints.values()) or (complaints and taken.can_open_files):
        raise Broken(f"{taken}: PID 1 complained: {dict(complaints)}")
