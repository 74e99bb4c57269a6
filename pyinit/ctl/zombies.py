"""``pyinitctl zombies``: each zombie, and whose it is."""

import argparse
import json
import sys

from pyinit import words
from pyinit.ctl import arguments, picture
from pyinit.ctl.commands import name_of
from pyinit.ctl.picture import Kind, Picture, Zombie

_WORDS = {
    Kind.UNREAPED: "waits for its parent",
    Kind.TRACED: "waits for its tracer",
    Kind.REAPING: "about to be reaped",
    Kind.THREADS: "no zombie: other threads of it live on",
}


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this command to the command line."""
    parser = commands.add_parser(
        "zombies",
        help="each zombie, and whose it is",
        description="Show each zombie, and who has not waited for it.",
        epilog="example: docker exec app pyinitctl zombies; "
        "exit status: 0 if there are none, 1 if there are, 3 if that cannot be seen",
        allow_abbrev=False,
    )
    arguments.add_pid(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Print what is there; 1 if zombies are."""
    seen = picture.take(chosen.pid)
    print(_as_json(seen) if chosen.json else _as_text(seen))
    if picture.hides_others():
        print("pyinitctl: /proc hides the processes of other users (hidepid): root sees all", file=sys.stderr)
    return 1 if seen.waiting else 0


def _as_text(seen: Picture) -> str:
    if not seen.zombies:
        return "no zombies"
    rows = [("PID", "PPID", "AGE", "NAME", ""), *(_row(zombie) for zombie in seen.zombies)]
    width = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        f"{pid:>{width[0]}}  {parent:>{width[1]}}  {age:>{width[2]}}  {name:{width[3]}}  {state}".rstrip()
        for pid, parent, age, name, state in rows
    ]
    verdicts = [verdict.text for verdict in seen.verdicts]
    return "\n".join([*lines, "", words.count(len(seen.waiting), "zombie"), *verdicts])


def _row(zombie: Zombie) -> tuple[str, str, str, str, str]:
    process = zombie.process
    state = _WORDS[zombie.kind]
    return str(process.pid), str(process.parent), str(zombie.age), name_of(process), state


def _as_json(seen: Picture) -> str:
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
                }
                for verdict in seen.verdicts
            ],
        }
    )
