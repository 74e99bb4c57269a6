"""Quantities as text for people."""


def count(number: int, one: str, many: str = "") -> str:
    """``1 orphan``, ``2 orphans``; `many` is an irregular plural."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """``40ms``, ``3.2s``, ``3m``, ``3m12s``, ``5h07m``, ``12d3h``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds + 0.05), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s" if rest else f"{minutes}m"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{rest:02d}m"
    return f"{hours // 24}d{hours % 24}h"


def size(number: int) -> str:
    """Bytes as ``64 MiB`` or ``8.0 GiB``."""
    return f"{number / 2**20:.0f} MiB" if number < 2**33 else f"{number / 2**30:.1f} GiB"


MOST_NAMES = 10
"""How many different names are written: a line should stay readable."""


def different(names: "list[str]") -> "list[str]":
    """The names, each once, and `MOST_NAMES` at most."""
    return list(dict.fromkeys(names))[:MOST_NAMES]


def names(all_names: "list[str]") -> str:
    """The names in a line: ``sleep x3, python3``."""
    shown = different(all_names)
    more = len(set(all_names)) - len(shown)
    counted = [name if all_names.count(name) == 1 else f"{name} x{all_names.count(name)}" for name in shown]
    return ", ".join(counted) + (f" and {more} more" if more else "")


def rounded(seconds: "float | None") -> "float | None":
    """To the millisecond."""
    return None if seconds is None else round(seconds, 3)
