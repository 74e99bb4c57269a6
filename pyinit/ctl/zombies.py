"""``pyinitctl zombies``: each zombie, and the process that should wait for it."""

import argparse
import json

from pyinit.ctl import arguments, picture
from pyinit.ctl.commands import name_of
from pyinit.ctl.picture import Kind, Picture, Zombie
from pyinit.reporting import humanize

_STATES = {
    Kind.UNREAPED: "waits for its parent",
    Kind.TRACED: "waits for its tracer",
    Kind.REAPING: "about to be reaped",
    Kind.THREADS: "not a zombie: other threads of it are running",
}


def add_to(commands: arguments.Commands) -> None:
    """Add this command to the command line."""
    parser = arguments.add_command(
        commands,
        "zombies",
        run,
        "each zombie, and the process that should wait for it",
        "Show each zombie, and the process that has not waited for it.",
        "docker exec app pyinitctl zombies\n  sudo python3 -m pyinit.ctl zombies --host",
        "0 if there are no zombies, 1 if there are, 3 if that cannot be seen",
    )
    scope = parser.add_mutually_exclusive_group()
    arguments.add_pid(scope)
    scope.add_argument("--host", action="store_true", help="look at a whole machine, and name the container of each")
    arguments.add_json(parser)


def run(settings: argparse.Namespace) -> int:
    """Print the zombies; 1 if there are any."""
    seen = picture.take(settings.pid)
    places = _places(seen) if settings.host else {}
    print(_as_json(seen, places) if settings.json else _as_text(seen, places))
    picture.warn_if_hidden()
    if settings.host:
        picture.warn_if_inside()
    return 1 if seen.waiting else 0


def _places(seen: Picture) -> dict[int, str | None]:
    """The container of each zombie and of each process that should wait for one, by pid; None for the host."""
    from pyinit.ctl.containers import Containers

    containers = Containers()
    places = {verdict.neglect.pid: containers.of(verdict.neglect.pid) for verdict in seen.verdicts}
    places |= {zombie.process.pid: containers.of_zombie(zombie.process) for zombie in seen.zombies}
    return {pid: str(container) if container else None for pid, container in places.items()}


def _as_text(seen: Picture, places: dict[int, str | None]) -> str:
    if not seen.zombies:
        return "no zombies"
    where = {pid: name or "the host" for pid, name in places.items()}
    rows = sorted([_row(zombie, where.get(zombie.process.pid, "")) for zombie in seen.zombies], key=lambda row: row[3])
    rows.insert(0, ("PID", "PPID", "AGE", "CONTAINER" if where else "", "NAME", ""))
    width = [max(len(row[column]) for row in rows) for column in range(5)]
    gap = "  " if where else ""
    lines = [
        f"{pid:>{width[0]}}  {parent:>{width[1]}}  {age:>{width[2]}}  {place:{width[3]}}{gap}{name:{width[4]}}  {state}"
        for pid, parent, age, place, name, state in rows
    ]
    verdicts = [(where.get(verdict.neglect.pid, ""), verdict.text) for verdict in seen.verdicts]
    verdicts.sort(key=lambda verdict: verdict[0])
    sentences = [f"{place}: {text}" if place else text for place, text in verdicts]
    return "\n".join([*map(str.rstrip, lines), "", _total(seen, places), *sentences])


def _row(zombie: Zombie, place: str) -> tuple[str, str, str, str, str, str]:
    process = zombie.process
    return str(process.pid), str(process.parent), str(zombie.age), place, name_of(process), _STATES[zombie.kind]


def _total(seen: Picture, places: dict[int, str | None]) -> str:
    """The number of zombies; with --host also where they are, which a login message does not say."""
    if not places:
        return humanize.count(len(seen.waiting), "zombie")
    found = {places[zombie.process.pid] for zombie in seen.waiting}
    where = ["on the host"] if None in found else []
    if found := found - {None}:
        where.insert(0, f"in {humanize.count(len(found), 'container')}")
    return f"{humanize.count(len(seen.waiting), 'zombie process', 'zombie processes')} {' and '.join(where)}".rstrip()


def _as_json(seen: Picture, places: dict[int, str | None]) -> str:
    """The names are stable (docs/pyinitctl.md)."""
    return json.dumps(
        {
            "zombies": [
                {
                    "pid": zombie.process.pid,
                    "name": name_of(zombie.process),
                    "parent": zombie.process.parent,
                    "kind": zombie.kind,
                    "age_seconds": round(zombie.age.seconds, 3),
                    "age_is_exact": zombie.age.is_exact,
                    **({"container": places[zombie.process.pid]} if places else {}),
                }
                for zombie in seen.zombies
            ],
            "verdicts": [
                {
                    "pid": verdict.neglect.pid,
                    "name": verdict.name,
                    "kind": verdict.kind,
                    "zombies": len(verdict.neglect.zombies),
                    "oldest_seconds": round(verdict.oldest.seconds, 3),
                    "oldest_is_exact": verdict.oldest.is_exact,
                    "verdict": verdict.text,
                    **({"container": places[verdict.neglect.pid]} if places else {}),
                }
                for verdict in seen.verdicts
            ],
        }
    )
