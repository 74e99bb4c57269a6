"""Metrics as text that parsers of Prometheus' text format and of OpenMetrics read alike.

The two differ in a counter: its line ``# TYPE`` has the name of the sample in one, and the name without ``_total`` in
the other. Neither parser takes the other's. So a counter has none, and both read a number of an unknown type, for
which every function of Prometheus works.
"""

from collections.abc import Mapping

from pyinit.ctl import published
from pyinit.ctl.published import Counters

_HELP = {
    "info": "The version of pyinit.",
    "container_info": "A container, the version of its pyinit (empty if it has none), and its workload.",
    "up": "1 until the workload of pyinit has ended, then 0; absent without pyinit.",
    "workload_up": "1 until the workload has ended, then 0; absent with --pause.",
    "start_time_seconds": "When the workload was started, as Unix time.",
    "uptime_seconds": "Seconds since the workload was started.",
    "stage": "The stage of the shutdown: 1 for the current one.",
    "orphans_reaped_total": "Orphans reaped.",
    "signals_forwarded_total": "Signals forwarded.",
    "log_lines_dropped_total": "Log lines that could not be written.",
    "oom_kills_total": "Processes that the kernel killed because memory ran out.",
    "zombies": "Zombies that their parents have not waited for.",
    "oldest_zombie_seconds": "How long the oldest of them has been a zombie; at most, if that is not known.",
    "host_scrape_duration_seconds": "How long pyinitctl host took.",
    "last_run_timestamp_seconds": "When pyinitctl host ran, as Unix time.",
}
"""All metrics, in the order in which they are written. One that has the same name in two files needs the same help."""

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Metrics:
    """Samples of `_HELP`'s metrics; as a string, that text. The names are stable (docs/pyinitctl.md)."""

    def __init__(self) -> None:
        self._samples: dict[str, list[str]] = {name: [] for name in _HELP}

    def add(self, name: str, labels: Mapping[str, str], value: float | None) -> None:
        """Add a sample with the labels that are not empty; none for None."""
        if value is not None:
            words = [f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items() if text]
            self._samples[name].append(
                f"pyinit_{name}{{{','.join(words)}}} {value}" if words else f"pyinit_{name} {value}"
            )

    def add_counters(self, labels: Mapping[str, str], counters: Counters) -> None:
        """Add what a pyinit has counted, and its stage."""
        for stage in published.STAGES:
            self.add("stage", {**labels, "stage": stage}, int(stage == counters.stage))
        for one in counters.forwarded:
            self.add("signals_forwarded_total", {**labels, "signal": one.signal}, one.count)
        self.add("orphans_reaped_total", labels, counters.orphans_reaped)
        self.add("log_lines_dropped_total", labels, counters.log_lines_dropped)

    def __str__(self) -> str:
        lines = []
        for name, samples in self._samples.items():
            if samples:
                lines.append(f"# HELP pyinit_{name} {_HELP[name]}")
                if not name.endswith("_total"):
                    lines.append(f"# TYPE pyinit_{name} gauge")
                lines += samples
        return "\n".join([*lines, "# EOF"])
