"""``pyinitctl status``: what a pyinit tells of itself."""

import argparse
import json

from pyinit import reaper
from pyinit.ctl import arguments, counters, picture
from pyinit.ctl.ages import Ages
from pyinit.ctl.commands import name_of
from pyinit.ctl.counters import Counters, Forwarded
from pyinit.ctl.failure import CannotLook
from pyinit.kernel import procfs
from pyinit.reporting import humanize as words

STAGES = {
    "running": "running",
    "staying": "staying until the last process has ended",
    "draining": "draining: those who are left have been asked to end",
    "killing": "killing those who are left",
    "over": "over",
}
"""Of the shutdown, in words."""


def add_to(commands: arguments.Commands) -> None:
    """Add this command to the command line."""
    parser = arguments.add_command(
        commands,
        "status",
        run,
        "what pyinit runs, and what it has done",
        "Show the workload, the stage of the shutdown, and what pyinit has reaped and forwarded.",
        "docker exec app pyinitctl status --json",
        "0; 3 if there is no pyinit that may be looked into",
    )
    arguments.add_pid(parser, "the pyinit to look at (that of this container)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON object")
    form.add_argument("--prometheus", action="store_true", help="print metrics, as Prometheus reads them")


def run(chosen: argparse.Namespace) -> int:
    """Print what the counters say."""
    pid = chosen.pid or counters.pid_of_init()
    seen = counters.read(pid)
    if chosen.prometheus:
        print(_as_metrics(seen, _zombies(chosen.pid or (pid if pid != 1 else None))))
        return 0
    senders = [_sender(one, seen.pid == pid) for one in seen.forwarded]
    print(_as_json(seen, senders) if chosen.json else _as_text(seen, senders))
    return 0


def _as_text(seen: Counters, senders: list[str]) -> str:
    signals = [
        f"{one.signal} {words.count(one.count, 'time')}, {'last ' if one.count > 1 else ''}{sender}, "
        f"{words.duration(one.seconds_ago)} ago"
        for one, sender in zip(seen.forwarded, senders, strict=True)
    ]
    rows = [
        ("pyinit", f"{seen.version}, pid {seen.pid}"),
        ("workload", _workload(seen)),
        ("stage", STAGES[seen.stage]),
        ("orphans", f"{seen.orphans_reaped} reaped"),
        ("log", f"{words.count(seen.log_lines_dropped, 'line')} dropped"),
        *zip(["signals", *[""] * len(signals)], signals or ["none forwarded"], strict=False),
    ]
    return "\n".join(f"{title:8}  {text}" for title, text in rows)


def _workload(seen: Counters) -> str:
    if seen.is_pause:
        return f"none (--pause), for {words.duration(seen.seconds)}"
    who = f"{seen.name} (pid {seen.workload})"
    if seen.wait_status is None or seen.ended_seconds_ago is None:
        return f"{who}, running for {words.duration(seen.seconds)}"
    ran, ago = words.duration(seen.seconds - seen.ended_seconds_ago), words.duration(seen.ended_seconds_ago)
    return f"{who} {reaper.describe(seen.wait_status)} after {ran}, {ago} ago"


def _sender(signal: Forwarded, can_be_looked_up: bool) -> str:
    """Who sent the last one."""
    if signal.origin is not None:
        return signal.origin
    if signal.sender_pid is None:
        return "from the kernel"
    if signal.sender_pid == 0:
        return "from outside the container"
    found = procfs.process(signal.sender_pid) if can_be_looked_up else None
    # Whoever was started since has got the number of another.
    name = f"{name_of(found)}, " if found and Ages().since_start(found) >= signal.seconds_ago else ""
    return f"from pid {signal.sender_pid} ({name}uid {signal.sender_uid})"


def _as_json(seen: Counters, senders: list[str]) -> str:
    """The names are stable (docs/pyinitctl.md)."""
    ended = seen.ended_seconds_ago
    status = seen.wait_status
    killed_by = reaper.describe(status).rpartition(" ")[2] if status and status & 0x7F else None
    workload = {
        "pid": seen.workload,
        "name": seen.name,
        "seconds": round(seen.seconds - (ended or 0.0), 3),
        "status": None if status is None else reaper.exit_status(status),
        "killed_by": killed_by,
        "ended_seconds_ago": None if ended is None else round(ended, 3),
    }
    return json.dumps(
        {
            "version": seen.version,
            "pid": seen.pid,
            "uptime_seconds": round(seen.seconds, 3),
            "stage": seen.stage,
            "workload": None if seen.is_pause else workload,
            "orphans_reaped": seen.orphans_reaped,
            "log_lines_dropped": seen.log_lines_dropped,
            "signals_forwarded": [
                {
                    "signal": one.signal,
                    "count": one.count,
                    "sender_pid": one.sender_pid,
                    "sender_uid": one.sender_uid,
                    "origin": sender,
                    "seconds_ago": round(one.seconds_ago, 3),
                }
                for one, sender in zip(seen.forwarded, senders, strict=True)
            ],
        }
    )


def _zombies(root: int | None) -> int | None:
    """How many are there to stay; None if that cannot be seen."""
    try:
        return len(picture.take(root, name_of).waiting)
    except CannotLook:
        return None


def _as_metrics(seen: Counters, zombies: int | None) -> str:
    """The names are stable, too."""
    version = seen.version.replace("\\", "\\\\").replace('"', '\\"')
    up = None if seen.is_pause else int(seen.wait_status is None)
    counted = [(f'{{signal="{one.signal}"}}', one.count) for one in seen.forwarded]
    stages = [(f'{{stage="{stage}"}}', int(stage == seen.stage)) for stage in STAGES]
    metrics: list[tuple[str, str, str, list[tuple[str, float | None]]]] = [
        ("info", "gauge", "The version of pyinit.", [(f'{{version="{version}"}}', 1)]),
        ("uptime_seconds", "gauge", "Since the workload was started.", [("", round(seen.seconds, 3))]),
        ("workload_up", "gauge", "Whether the workload has not ended; none with --pause.", [("", up)]),
        ("stage", "gauge", "The stage of the shutdown: 1 for the present one.", [*stages]),
        ("orphans_reaped_total", "counter", "Orphans that were reaped.", [("", seen.orphans_reaped)]),
        ("signals_forwarded_total", "counter", "Signals that were passed on.", [*counted]),
        ("log_lines_dropped_total", "counter", "Log lines that could not be written.", [("", seen.log_lines_dropped)]),
        ("zombies", "gauge", "Zombies that nobody has reaped.", [("", zombies)]),
    ]
    lines = []
    for name, kind, text, samples in metrics:
        lines += [f"# HELP pyinit_{name} {text}", f"# TYPE pyinit_{name} {kind}"]
        lines += [f"pyinit_{name}{suffix} {value}" for suffix, value in samples if value is not None]
    return "\n".join(lines)
