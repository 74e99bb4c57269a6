"""``pyinitctl zombies``: each zombie, and whose it is."""

import argparse
import json
import sys

from pyinit.ctl import arguments, picture
from pyinit.ctl.commands import name_of
from pyinit.ctl.picture import Kind, Picture, Zombie
from pyinit.reporting import humanize as words

_WORDS = {
    Kind.UNREAPED: "waits for its parent",
    Kind.TRACED: "waits for its tracer",
    Kind.REAPING: "about to be reaped",
    Kind.THREADS: "no zombie: other threads of it live on",
}


def add_to(commands: arguments.Commands) -> None:
    """Add this command to the command line."""
    parser = arguments.add_command(
        commands,
        "zombies",
        run,
        "each zombie, and whose it is",
        "Show each zombie, and who has not waited for it.",
        "docker exec app pyinitctl zombies\n  sudo python3 -m pyinit.ctl zombies --host",
        "0 if there are none, 1 if there are, 3 if that cannot be seen",
    )
    whom = parser.add_mutually_exclusive_group()
    arguments.add_pid(whom)
    whom.add_argument("--host", action="store_true", help="of a whole machine: name the container of each, too")
    arguments.add_json(parser)


def run(chosen: argparse.Namespace) -> int:
    """Print what is there; 1 if zombies are."""
    seen = picture.take(chosen.pid)
    places = _places(seen) if chosen.host else {}
    print(_as_json(seen, places) if chosen.json else _as_text(seen, places))
    picture.tell_if_hidden()
    if chosen.host and picture.has_outside():
        print("pyinitctl: this is a PID namespace of its own, and no host: others are not seen", file=sys.stderr)
    return 1 if seen.waiting else 0


def _places(seen: Picture) -> dict[int, str | None]:
    """The container of each zombie and of each who is to wait for some, by pid; None for the host."""
    from pyinit.ctl.containers import Containers

    containers = Containers()
    places = {verdict.neglect.pid: containers.name_of(verdict.neglect.pid) for verdict in seen.verdicts}
    return places | {zombie.process.pid: containers.of_zombie(zombie.process) for zombie in seen.zombies}


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
    told = [f"{place}: {text}" if place else text for place, text in verdicts]
    return "\n".join([*map(str.rstrip, lines), "", _total(seen, places), *told])


def _row(zombie: Zombie, place: str) -> tuple[str, str, str, str, str, str]:
    process = zombie.process
    state = _WORDS[zombie.kind]
    return str(process.pid), str(process.parent), str(zombie.age), place, name_of(process), state


def _total(seen: Picture, places: dict[int, str | None]) -> str:
    """How many there are; with --host also where, which a login message leaves open."""
    if not places:
        return words.count(len(seen.waiting), "zombie")
    found = {places[zombie.process.pid] for zombie in seen.waiting}
    where = ["on the host"] if None in found else []
    if found := found - {None}:
        where.insert(0, f"in {words.count(len(found), 'container')}")
    return f"{words.count(len(seen.waiting), 'zombie process', 'zombie processes')} {' and '.join(where)}".rstrip()


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
