"""``pyinitctl status``: what a pyinit reports of itself."""

import argparse
import json

from pyinit.ctl import arguments, picture, published
from pyinit.ctl.ages import Ages
from pyinit.ctl.commands import name_of
from pyinit.ctl.failure import CannotLook
from pyinit.ctl.metrics import Metrics
from pyinit.ctl.published import Counters, Forwarded
from pyinit.kernel import cgroup, procfs, wait_status
from pyinit.reporting import humanize

_KILLS_ALL = "if it runs out, the kernel kills all processes at once, pyinit too: no report (memory.oom.group is set)"


def add_to(commands: arguments.Commands) -> None:
    """Add this command to the command line."""
    parser = arguments.add_command(
        commands,
        "status",
        run,
        "what pyinit runs and has done",
        "Show the workload, the stage of the shutdown, and what pyinit has reaped and forwarded.",
        "docker exec app pyinitctl status --json",
        "0; 3 if no pyinit is found, or it may not be inspected",
    )
    arguments.add_pid(parser, "the pyinit to look at (default: that of this container)")
    form = parser.add_mutually_exclusive_group()
    arguments.add_json(form)
    form.add_argument("--prometheus", action="store_true", help="print metrics in the text format of Prometheus")


def run(settings: argparse.Namespace) -> int:
    """Print the counters."""
    pid = settings.pid or published.pid_of_init()
    counters = published.read(pid)
    if settings.prometheus:
        print(_as_metrics(counters, _zombies(settings.pid or (pid if pid != 1 else None))))
        return 0
    senders = [_sender(one, counters.pid == pid) for one in counters.forwarded]
    kills_all = cgroup.Memory(pid).kills_all()
    print((_as_json if settings.json else _as_text)(counters, senders, kills_all))
    return 0


def _as_text(counters: Counters, senders: list[str], kills_all: bool | None = None) -> str:
    signals = [
        f"{one.signal} {humanize.count(one.count, 'time')}, {'last ' if one.count > 1 else ''}{sender}, "
        f"{humanize.duration(one.seconds_ago)} ago"
        for one, sender in zip(counters.forwarded, senders, strict=True)
    ]
    rows = [
        ("pyinit", f"{counters.version}, pid {counters.pid}"),
        ("workload", _workload(counters)),
        ("stage", published.STAGES[counters.stage]),
        ("orphans", f"{counters.orphans_reaped} reaped"),
        ("log", f"{humanize.count(counters.log_lines_dropped, 'line')} dropped"),
        *([("memory", _KILLS_ALL)] if kills_all else []),
        *zip(["signals", *[""] * len(signals)], signals or ["none forwarded"], strict=False),
    ]
    return "\n".join(f"{title:8}  {text}" for title, text in rows)


def _workload(counters: Counters) -> str:
    if counters.is_pause:
        return f"none (--pause), for {humanize.duration(counters.seconds)}"
    ended = counters.ended_seconds_ago
    if counters.wait_status is None or ended is None:
        return f"{counters.workload_name}, running for {humanize.duration(counters.seconds)}"
    how, ran = wait_status.describe(counters.wait_status), humanize.duration(counters.seconds - ended)
    return f"{counters.workload_name} {how} after {ran}, {humanize.duration(ended)} ago"


def _sender(signal: Forwarded, can_be_looked_up: bool) -> str:
    """The sender of the last one."""
    if signal.origin is not None:
        return signal.origin
    if signal.sender_pid is None:
        return "from the kernel"
    if signal.sender_pid == 0:
        return "from outside the container"
    found = procfs.process(signal.sender_pid) if can_be_looked_up else None
    # A process that was started after the signal only has the pid of the sender.
    name = f"{name_of(found)}, " if found and Ages().since_start(found) >= signal.seconds_ago else ""
    return f"from pid {signal.sender_pid} ({name}uid {signal.sender_uid})"


def _as_json(counters: Counters, senders: list[str], kills_all: bool | None = None) -> str:
    """The names are stable (docs/pyinitctl.md)."""
    ended = counters.ended_seconds_ago
    status = counters.wait_status
    workload = {
        "pid": counters.workload,
        "name": counters.name,
        "seconds": round(counters.seconds - (ended or 0.0), 3),
        "status": None if status is None else wait_status.shell_status(status),
        "killed_by": None if status is None else wait_status.signal_of(status),
        "ended_seconds_ago": None if ended is None else round(ended, 3),
    }
    return json.dumps(
        {
            "version": counters.version,
            "pid": counters.pid,
            "uptime_seconds": round(counters.seconds, 3),
            "stage": counters.stage,
            "workload": None if counters.is_pause else workload,
            "orphans_reaped": counters.orphans_reaped,
            "log_lines_dropped": counters.log_lines_dropped,
            "oom_group": kills_all,
            "signals_forwarded": [
                {
                    "signal": one.signal,
                    "count": one.count,
                    "sender_pid": one.sender_pid,
                    "sender_uid": one.sender_uid,
                    "origin": sender,
                    "seconds_ago": round(one.seconds_ago, 3),
                }
                for one, sender in zip(counters.forwarded, senders, strict=True)
            ],
        }
    )


def _zombies(root: int | None) -> int | None:
    """How many zombies are not about to be reaped; None if that cannot be seen."""
    try:
        return len(picture.take(root, name_of).waiting)
    except CannotLook:
        return None


def _as_metrics(counters: Counters, zombies: int | None) -> str:
    """The names are stable (docs/pyinitctl.md)."""
    written = Metrics()
    written.add("info", {"version": counters.version}, 1)
    written.add("uptime_seconds", {}, round(counters.seconds, 3))
    written.add("workload_up", {}, None if counters.is_pause else int(counters.wait_status is None))
    written.add_counters({}, counters)
    written.add("zombies", {}, zombies)
    return str(written)
