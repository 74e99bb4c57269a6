"""``pyinitctl host``: the containers of a machine, what their pyinit reports, and their zombies."""

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from pyinit.ctl import arguments, picture, published
from pyinit.ctl.ages import Age, oldest
from pyinit.ctl.commands import name_of
from pyinit.ctl.failure import CannotLook, check_proc, warn
from pyinit.ctl.metrics import Metrics
from pyinit.ctl.picture import Kind, Picture, Verdict
from pyinit.ctl.published import Counters as Published
from pyinit.kernel import cgroup, procfs
from pyinit.kernel.numbers import whole
from pyinit.reporting import humanize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.ctl.containers import Container, Containers

_FIRST = 3
"""How many of the first processes of a container may be its pyinit, by whatever name: another init or a shell may have
started it."""

_PATIENCE = 0.5
"""Seconds for all counters together that cannot be read at once: anybody may run what looks like a pyinit."""

_FEW = 64
"""How many descriptors of a process are looked at: a pyinit has fewer, unless it holds record locks."""

_MOST_PARENTS = 3
"""How many parents of zombies a line names."""

_TITLES = (
    "CONTAINER", "IMAGE", "PYINIT", "WORKLOAD", "UPTIME", "STAGE", "REAPED", "OOM KILLS", "LINES LOST", "ZOMBIES"
)  # fmt: skip

_DENIED = ""

Place = Hashable
"""Where a process is: a container; outside of those the inode of another PID namespace, as text, or the pid of the
pyinit that it descends from; None: on the host itself."""


@dataclass
class Entry:
    """A container. One that has no name is a PID namespace, or a pyinit on the host with its descendants."""

    container: "Container | None" = None
    first: procfs.Process | None = None
    """Its first process; None for the host itself."""
    has_pyinit: bool | None = None
    """None if we may not see that."""
    pyinit: int = 0
    """The pid of its pyinit."""
    counters: Published | None = None
    oom_kills: int | None = None
    zombies: dict[int, Age] = field(default_factory=dict)
    """Those that some process should wait for and has not, by pid."""
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    """How many of them each verdict is about."""

    @property
    def name(self) -> str:
        """What people call it; in parentheses if it does not have a name."""
        return str(self.container) if self.container else f"(pid {self.pid})" if self.first else "(the host)"

    @property
    def pid(self) -> int | None:
        """The pid of its pyinit, or else of its first process."""
        return self.pyinit or (self.first.pid if self.first else None)

    @property
    def version(self) -> str:
        """That of its pyinit; empty without one, ``unknown`` if that is not visible."""
        return self.counters.version if self.counters else "" if self.has_pyinit is False else "unknown"

    @property
    def workload(self) -> str | None:
        """Its name; without pyinit that of the first process. None if there is no workload."""
        if self.counters:
            return None if self.counters.is_pause else self.counters.name
        return name_of(self.first) if self.first and not self.has_pyinit else None

    @property
    def started(self) -> float | None:
        """When the workload was started, as Unix time. Does not change from one look to the next."""
        if self.counters:
            return round(time.time() - time.monotonic() + self.counters.started, 1)
        return round(time.time() - self.first.age(), 1) if self.first else None

    @property
    def oldest(self) -> Age | None:
        """How long its oldest zombie has been one."""
        return oldest(self.zombies.values()) if self.zombies else None


def add_to(commands: arguments.Commands) -> None:
    """Add this command to the command line."""
    parser = arguments.add_command(
        commands,
        "host",
        run,
        "the containers of a machine, with and without pyinit",
        "Show each container of a machine: what its pyinit reports, or that it has none, and its zombies.",
        "sudo pyinitctl host\n  sudo pyinitctl host --prometheus --output pyinit.prom",
        "0; 3 if the processes cannot be seen, or the file cannot be written",
    )
    form = parser.add_mutually_exclusive_group()
    arguments.add_json(form)
    form.add_argument("--prometheus", action="store_true", help="print metrics for Prometheus")
    parser.add_argument(
        "--output", metavar="FILE", help="write to this file, which is replaced at once: it is never half-written"
    )


def run(settings: argparse.Namespace) -> int:
    """Print the containers."""
    began = time.monotonic()
    entries, hidden = look()
    if settings.json:
        text = _as_json(entries)
    elif settings.prometheus:
        text = _as_metrics(entries, began)
    else:
        text = _as_text(entries)
    if settings.output in (None, "-", "/dev/stdout"):  # a link, perhaps to a file that others write to, too
        print(text)
    else:
        write(settings.output, f"{text}\n")
    if hidden:
        warn(f"not visible to uid {os.geteuid()}: {'; '.join(hidden)}")
    picture.warn_if_inside()
    return 0


def look() -> tuple[list[Entry], list[str]]:
    """The containers in the order of their names, the host among them if it has zombies; and what is not visible.

    Raises:
        CannotLook: /proc is not that of this PID namespace.
    """
    from pyinit.ctl import containers as names

    check_proc()
    hidden = [picture.HIDDEN] if picture.hides_others() else []
    containers = names.Containers()
    own = _namespace("self")
    denied = 0
    members: dict[Place, list[procfs.Process]] = {}
    processes = {one.pid: one for one in procfs.processes()}
    for one in processes.values():
        if one.state != "Z":
            place: Place = containers.of(one.pid) or _namespace(one.pid)
            denied += place == _DENIED and one.pid != 1 and os.path.exists(f"/proc/{one.pid}")
            members.setdefault(None if place in (own, _DENIED) else place, []).append(one)
    if denied:
        hidden.append(f"the PID namespaces of {humanize.count(denied, 'process', 'processes')}")
    entries: dict[Place, Entry] = {None: Entry()}
    errors: list[str] = []
    until = time.monotonic() + _PATIENCE
    for one in members.pop(None, []):
        found = Entry(None, one)
        _find_pyinit(found, [one], errors, until)
        if found.has_pyinit:
            entries[one.pid] = found
    mounts = _mounts()
    for where, inside in members.items():
        inside.sort(key=lambda one: (one.started, one.pid))
        container = where if isinstance(where, names.Container) else None
        entries[where] = entry = Entry(container, inside[0])
        _find_pyinit(entry, inside[:_FIRST] + [one for one in inside[_FIRST:] if one.name == "pyinit"], errors, until)
        if container:
            entry.oom_kills = _oom_kills(mounts, names.without_inner(names.memberships(inside[0].pid)))
    _add_zombies(entries, containers, processes, own)
    if unknown := sum(entry.has_pyinit is None for entry in entries.values() if entry.first):
        hidden.append(f"whether {humanize.count(unknown, 'container')} has pyinit")
    if errors:
        hidden.append(errors[0] + (f" (and {len(errors) - 1} more)" if errors[1:] else ""))
    hidden += [f"names in {path}" for path in sorted(containers.denied)]
    if not entries[None].zombies:
        del entries[None]
    return sorted(entries.values(), key=lambda entry: (entry.name, entry.pid or 0)), hidden


def _namespace(pid: int | str) -> str | None:
    """The PID namespace of a process; `_DENIED` if we may not see it, or the process has exited; or None then."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except PermissionError:
        return _DENIED
    except OSError:
        return None


def _find_pyinit(entry: Entry, processes: Iterable[procfs.Process], errors: list[str], until: float) -> None:
    """Find the first pyinit among processes, and read its counters; add to `errors` why they cannot be read."""
    for one in processes:
        try:
            path = published.find(one.pid, _FEW)
        except PermissionError:
            if one is entry.first:
                return
            continue
        except OSError:  # it has exited
            continue
        if path:
            entry.has_pyinit, entry.pyinit = True, one.pid
            try:
                entry.counters = published.read_from(path, one.pid, until)
            except CannotLook as error:
                errors.append(str(error))
            return
    entry.has_pyinit = False


def _mounts() -> str:
    """The lines of mountinfo that are about cgroups: on a host with many containers it has thousands of others."""
    text = (procfs.read("/proc/self/mountinfo") or b"").decode("utf-8", "surrogateescape")
    return "\n".join(line for line in text.split("\n") if " - cgroup" in line)


def _oom_kills(mounts: str, cgroups: str) -> int | None:
    """How many processes of these cgroups the kernel has killed because memory ran out; None if that is not visible."""
    if ":/.." in cgroups:  # outside of our own cgroup namespace
        return None
    files = cgroup.find(mounts, cgroups)
    for line in (procfs.read(files[0]) or b"").splitlines() if files else []:
        key, _, value = line.partition(b" ")
        if key == b"oom_kill":
            return whole(value, 1 << 64)
    return None


def _add_zombies(
    entries: dict[Place, Entry], containers: "Containers", processes: dict[int, procfs.Process], own: str | None
) -> None:
    """Look at the zombies among the processes once more, and add each to its container."""
    try:
        seen = picture.take(None, name_of, processes.values())
    except CannotLook:  # none is visible, and some are hidden
        seen = Picture([], [])
    namespaces = {
        _namespace(entry.first.pid): place for place, entry in entries.items() if entry.first and seen.zombies
    }
    namespaces |= {None: None, _DENIED: None, own: None}
    ages = {zombie.process.pid: zombie.age for zombie in seen.zombies}
    for verdict in seen.verdicts:
        if verdict.kind == Kind.REAPING:
            continue
        for zombie in verdict.neglect.zombies:
            # Version 1 of cgroups shows no zombie in its container; its parent may be outside (docker exec).
            container = containers.of_zombie(zombie)
            place: Place = container
            if container:  # perhaps zombies are all that is left of it
                entries.setdefault(container, Entry(container))
            for pid in (zombie.pid, zombie.parent):
                place = place or namespaces.get(_namespace(pid))
            above = processes.get(zombie.parent)
            while place is None and above:
                place = above.pid if above.pid in entries else None
                parent = processes.get(above.parent)
                # One that is younger has the pid of a parent that has exited; such could form a circle.
                above = parent if parent and parent.started <= above.started else None
            entry = entries[place if place in entries else None]
            entry.zombies[zombie.pid] = ages[zombie.pid]
            entry.verdicts[verdict] += 1


def _as_text(entries: list[Entry]) -> str:
    rows = [_TITLES, *map(_row, entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    containers = [entry for entry in entries if entry.first or entry.container]
    running = sum(entry.has_pyinit is True for entry in containers)
    zombies = humanize.count(sum(len(entry.zombies) for entry in entries), "zombie")
    return "\n".join([*lines, "", f"{humanize.count(len(containers), 'container')}, {running} with pyinit; {zombies}"])


def _row(entry: Entry) -> tuple[str, ...]:
    counters = entry.counters
    whose = [f"{count} of {_waiter(verdict)}" for verdict, count in entry.verdicts.most_common(_MOST_PARENTS)]
    if more := len(entry.verdicts) - len(whose):
        whose.append(f"and of {more} more")
    cells = (
        entry.name,
        entry.container and entry.container.image,
        (entry.version or "none") if entry.first else None,
        entry.workload,
        entry.started and humanize.duration(max(0.0, time.time() - entry.started)),
        counters and counters.stage,
        counters and counters.orphans_reaped,
        entry.oom_kills,
        counters and counters.log_lines_dropped,
        ", ".join(whose) or 0,
    )
    return tuple("-" if cell in (None, "") else str(cell) for cell in cells)


def _waiter(verdict: Verdict) -> str:
    pid = verdict.neglect.pid
    return f"{verdict.name} (pid {pid})" if pid else verdict.name


def _as_json(entries: list[Entry]) -> str:
    """The names are stable (docs/pyinitctl.md)."""
    return json.dumps({"containers": [_object(entry) for entry in entries]})


def _object(entry: Entry) -> dict[str, object]:
    container, counters, age = entry.container, entry.counters, entry.oldest
    return {
        "engine": container.engine if container else None,
        "name": container.short_name if container else None,
        "id": container.id or None if container else None,
        "image": container.image or None if container else None,
        "pod": container.pod or None if container else None,
        "namespace": container.namespace or None if container else None,
        "pid": entry.pid,
        "has_pyinit": entry.has_pyinit,
        "version": counters.version if counters else None,
        "workload": entry.workload,
        "started": entry.started,
        "stage": counters.stage if counters else None,
        "orphans_reaped": counters.orphans_reaped if counters else None,
        "signals_forwarded": {one.signal: one.count for one in counters.forwarded} if counters else None,
        "log_lines_dropped": counters.log_lines_dropped if counters else None,
        "oom_kills": entry.oom_kills,
        "zombies": len(entry.zombies),
        "oldest_zombie_seconds": round(age.seconds, 3) if age else None,
        "oldest_zombie_is_exact": age.is_exact if age else None,
        "parents": [
            {"pid": verdict.neglect.pid, "name": verdict.name, "kind": verdict.kind, "zombies": count}
            for verdict, count in entry.verdicts.most_common()
        ],
    }


def _as_metrics(entries: list[Entry], began: float) -> str:
    """The names are stable (docs/pyinitctl.md)."""
    written = Metrics()
    times = Counter(tuple(_labels(entry).items()) for entry in entries)
    for entry in entries:
        labels = _labels(entry)
        if times[tuple(labels.items())] > 1:  # Docker and podman may each have a container of that name
            labels["pid"] = str(entry.pid or "")
        if entry.first:
            written.add("container_info", {**labels, "version": entry.version, "workload": entry.workload or ""}, 1)
        if entry.counters:
            written.add("up", labels, int(entry.counters.wait_status is None))
            written.add_counters(labels, entry.counters)
        written.add("start_time_seconds", labels, entry.started)
        written.add("oom_kills_total", labels, entry.oom_kills)
        written.add("zombies", labels, len(entry.zombies))
        written.add("oldest_zombie_seconds", labels, round(entry.oldest.seconds, 3) if entry.oldest else None)
    written.add("host_scrape_duration_seconds", {}, round(time.monotonic() - began, 3))
    written.add("last_run_timestamp_seconds", {}, round(time.time(), 3))
    return str(written)


def _labels(entry: Entry) -> dict[str, str]:
    """Those of all metrics of a container."""
    if container := entry.container:
        facts = {"image": container.image, "pod": container.pod, "namespace": container.namespace}
        return {"container": container.short_name, **facts}
    return {"pid": str(entry.pid)} if entry.first else {"container": entry.name}


def write(path: str, text: str) -> None:
    """Replace a file at once by one with this text, which everybody may read.

    Raises:
        CannotLook: that failed; the text says why. The file is what it was.
    """
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    temporary = ""
    try:
        # /dev/null would be replaced, too.
        if path.endswith("/") or (os.path.exists(target) and not os.path.isfile(target)):
            raise CannotLook(f"cannot write {path}: it is not a regular file")
        # Not "*.prom": the textfile collector reads each file of that name.
        fd, temporary = tempfile.mkstemp(".new", f".{name}.", folder)
        with open(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
            os.fchmod(fd, 0o644)
            file.write(text)
        os.replace(temporary, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise CannotLook(f"cannot write {path}: {error.strerror}") from None
