"""What has become of the stragglers, for the report."""

import posix
import time

from ..kernel import signals, wait_status
from . import humanize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..account import Account, Straggler
    from .log import Field

_MOST = 20
"""How many stragglers are listed one by one: a line has to fit into a pipe."""

_PHRASES = (
    ("ended", "ended by itself", "ended by themselves", ""),
    ("asked", "ended", "ended", " of SIGTERM"),
    ("killed", "killed", "killed", ""),
    ("left", "left behind", "left behind", ""),
)
"""The outcomes, what they are called for one straggler and for several, and since when the time counts."""


class Fate:
    """What has become of one."""

    __slots__ = ("name", "outcome", "pid", "seconds", "wait_status")

    def __init__(self, straggler: "Straggler", asked: "float | None", is_left: bool) -> None:
        """`asked` is when it was sent SIGTERM."""
        self.pid = straggler.pid
        self.name = straggler.name
        self.wait_status = straggler.wait_status
        ended = straggler.ended or time.monotonic()
        self.outcome: str
        """``ended`` by itself, or because it was ``asked`` to; ``killed``; or ``left`` behind."""
        self.seconds: "float | None"
        """From the beginning of the drain, or from SIGTERM if it ended of that."""
        if is_left:
            self.outcome, self.seconds = "left", None
        elif straggler.killed is not None:
            self.outcome, self.seconds = "killed", straggler.killed - straggler.since
        elif asked is not None and asked < ended:
            self.outcome, self.seconds = "asked", ended - asked
        else:
            self.outcome, self.seconds = "ended", ended - straggler.since

    @property
    def crash(self) -> str:
        """How it ended, if that was a signal that nobody sends to end a process."""
        status = self.wait_status
        if self.outcome == "killed" or status is None or not posix.WIFSIGNALED(status):
            return ""
        is_usual = posix.WTERMSIG(status) in (*signals.STOP_SIGNALS, signals.KILL) and not posix.WCOREDUMP(status)
        return "" if is_usual else f", which {wait_status.describe(status)}"


def find(account: "Account") -> "list[Fate]":
    """What has become of each, the worst first."""
    left = {member.identity for member in account.left}
    seen = {one.identity for one in account.stragglers}
    account.add_stragglers([member for member in account.left if member.identity not in seen])
    found = [Fate(one, account.asked.get(one.identity), one.identity in left) for one in account.stragglers]
    order = ("killed", "left", "asked", "ended")
    return sorted(found, key=lambda one: order.index(one.outcome))


def phrases(fates: "list[Fate]", account: "Account") -> "list[str]":
    """``2 stragglers ended by themselves (tee after 300ms, gzip after 1.2s)``."""
    found = []
    for outcome, one, many, since in _PHRASES:
        alike: "dict[str, list[Fate]]" = {}
        members = [fate for fate in fates if fate.outcome == outcome]
        for fate in members:
            alike.setdefault(fate.name + fate.crash, []).append(fate)
        if members:
            shown = [_alike(group, since) for group in list(alike.values())[: humanize.MOST_NAMES]]
            more = f" and {len(alike) - len(shown)} more" if len(alike) > len(shown) else ""
            words = one if len(members) == 1 else many
            found.append(f"{humanize.count(len(members), 'straggler')} {words} ({', '.join(shown)}{more})")
    if account.has_killed and not any(fate.outcome == "killed" for fate in fates):
        found.append("stragglers killed (which, /proc does not show)")
    return found


def _alike(group: "list[Fate]", since: str) -> str:
    """Stragglers of one name: ``sleep x3 within 1.2s``."""
    first = group[0]
    name = first.name if len(group) == 1 else f"{first.name} x{len(group)}"
    seconds = [fate.seconds for fate in group if fate.seconds is not None]
    if not seconds:
        return name
    within = "after" if len(group) == 1 and not since else "within"
    return f"{name} {within} {humanize.duration(max(seconds))}{since}{first.crash}"


def fields(fates: "list[Fate]", account: "Account") -> "dict[str, Field]":
    """The same for programs."""
    names = {outcome: [fate.name for fate in fates if fate.outcome == outcome] for outcome, *_ in _PHRASES}
    ended = names["asked"] + names["ended"]
    is_known = names["killed"] or not account.has_killed
    return {
        "stragglers": [
            {"pid": fate.pid, "name": fate.name, "outcome": fate.outcome, "seconds": humanize.rounded(fate.seconds)}
            for fate in fates[:_MOST]
        ],
        "stragglers_ended": len(ended),
        "stragglers_ended_names": humanize.different(ended),
        "stragglers_killed": len(names["killed"]) if is_known else None,
        "stragglers_killed_names": humanize.different(names["killed"]),
        "stragglers_left": len(names["left"]),
        "stragglers_left_names": humanize.different(names["left"]),
    }
