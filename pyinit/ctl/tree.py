"""``pyinitctl tree``: the processes as a tree."""

import argparse
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from pyinit.ctl import arguments, picture, published
from pyinit.ctl.ages import Age, Ages, ages, oldest
from pyinit.ctl.commands import command_of, name_of
from pyinit.ctl.failure import CannotLook, warn
from pyinit.kernel import procfs
from pyinit.reporting import humanize

_FEW = 3
"""This many siblings that look alike share a line, which shows this many of their pids."""

_DEEPEST = 30
"""Deeper generations are not indented further; their lines have the number of the generation."""

_TIMES = "\N{MULTIPLICATION SIGN}"

_ASCII = str.maketrans({"├": "|", "└": "`", "│": "|", "─": "-", _TIMES: "x", "…": "..."})

RED, YELLOW, MAGENTA, CYAN = "1;31", "33", "35", "36"

_ALIKE = 1000
"""Commands look alike if this many characters are the same."""

_LONGEST, _SHORT = 60, 10
"""Columns for a command: the most without a terminal, and the least on one, however narrow it is."""

Mark = tuple[str, str]
"""A colour, and the text that it draws attention to."""

Row = tuple[str, str, str, str, str, str, str]
"""The parts of a line: pid, state, age, drawing, command, details, colour."""


@dataclass(slots=True, eq=False)
class Node:
    """A process in its place in the tree."""

    process: procfs.Process
    generation: int = 0
    children: "list[Node]" = field(default_factory=list)
    below: int = 0
    """How many descendants it has."""
    zombies: int = 0
    """How many of those are zombies."""
    command: str = ""
    marks: tuple[Mark, ...] = ()
    kind: int = 0
    """Equal for nodes that look alike, with everything that is shown below them."""


def add_to(commands: arguments.Commands) -> None:
    """Add this command to the command line."""
    parser = arguments.add_command(
        commands,
        "tree",
        run,
        "the process tree",
        "Show the processes as a tree: pid, state, time since the start, command. Processes that look alike share "
        "a line.",
        "docker exec app pyinitctl tree --depth 2",
        "0; 3 if the processes cannot be seen",
    )
    arguments.add_pid(parser)
    parser.add_argument(
        "--depth",
        type=arguments.number,
        metavar="N",
        help="show N generations below the first, and count the rest",
    )


def run(settings: argparse.Namespace) -> int:
    """Print the tree."""
    init = settings.pid or published.pid_of_init()
    counters = _counters_of(init)  # first: a workload that ends meanwhile must not look like an orphan
    seen = picture.processes(settings.pid)
    family = forest(seen)
    depth = len(family) if settings.depth is None else settings.depth
    _look_at(family, depth, settings.pid, _orphans(counters, init, seen) if counters else set())
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    deepest = min(_DEEPEST, max(1, columns // 2 // 3)) if columns else _DEEPEST
    with ages() as clock:
        rows = _rows(family, depth, deepest, clock)
    encoding = sys.stdout.encoding
    text = "\n".join(_lines(rows, columns, _is_drawable(encoding)))
    print(text.encode(encoding, "backslashreplace").decode(encoding))
    picture.warn_if_hidden()
    return 0


def forest(seen: Iterable[procfs.Process]) -> list[Node]:
    """The nodes of all processes, parents first. Generation 0 has no parent among them."""
    nodes = {one.pid: Node(one) for one in sorted(seen, key=_order)}
    by_parent: dict[int, list[Node]] = {}
    for node in nodes.values():
        parent = nodes.get(node.process.parent)
        # A process is never older than its parent: another process has the pid of a parent that has exited.
        is_there = parent is not None and parent.process.started <= node.process.started
        by_parent.setdefault(node.process.parent if is_there else 0, []).append(node)
    placed: dict[int, Node] = {}
    # Parents that changed while we looked can form a circle, which cannot be reached from generation 0.
    for top in [*by_parent.get(0, ()), *nodes.values()]:
        found = [] if top.process.pid in placed else [top]
        for node in found:  # grows during the loop
            placed[node.process.pid] = node
            node.children = [one for one in by_parent.get(node.process.pid, ()) if one.process.pid not in placed]
            for child in node.children:
                child.generation = node.generation + 1
            found.extend(node.children)
    return list(placed.values())


def folded(siblings: Iterable[Node]) -> list[list[Node]]:
    """Groups of siblings: those that look alike together if there are enough of them, each other one alone."""
    alike: dict[int, list[Node]] = {}
    for node in siblings:
        alike.setdefault(node.kind, []).append(node)
    groups = []
    for group in alike.values():
        groups += [group] if len(group) >= _FEW else [[node] for node in group]
    return sorted(groups, key=lambda group: _order(group[0].process))


def _order(process: procfs.Process) -> tuple[int, int]:
    return process.started, process.pid


def _counters_of(init: int) -> published.Counters | None:
    """The counters of the init; None if there are none, or we may not read them."""
    try:
        return published.read(init)
    except CannotLook as error:
        if procfs.name_of(init) == "pyinit":
            warn(f"orphans are not marked: {error}")
        return None


def _orphans(counters: published.Counters, init: int, seen: Iterable[procfs.Process]) -> set[int]:
    """The pids of the live children of a pyinit that are not its workload."""
    if counters.is_pause:
        return set()
    children = [one for one in seen if one.parent == init and not one.is_dead]
    workload = None if counters.wait_status is not None else counters.find_workload(init, children)
    return {one.pid for one in children if one is not workload}


def _look_at(family: list[Node], depth: int, root: int | None, orphans: set[int]) -> None:
    """Fill the nodes in, children first: what is below each; of those to be shown, command, marks and kind."""
    kinds: dict[object, int] = {}
    has_outside = root is None and picture.has_outside()
    for node in reversed(family):
        one, children = node.process, node.children
        for child in children:
            node.below += 1 + child.below
            node.zombies += child.process.is_dead + child.zombies
        if node.generation > depth:
            continue
        node.command = name_of(one) if one.is_dead else command_of(one, _ALIKE)
        marks = _marks(one)
        if one.pid in orphans:
            marks.append((YELLOW, "orphan"))
        if node.generation == 0 and one.pid not in (root, 1):
            if one.parent:
                marks.append((CYAN, f"its parent (pid {one.parent}) is not visible"))
            elif has_outside:
                marks.append((CYAN, "from outside (docker exec)"))
        node.marks = tuple(marks)
        below = tuple(sorted(child.kind for child in children)) if node.generation < depth else ()
        node.kind = kinds.setdefault((node.command, one.state, node.marks, below), len(kinds))


def _marks(process: procfs.Process) -> list[Mark]:
    """What is unusual about the state of a process."""
    if process.is_dead:
        return [(RED, "zombie")]
    if process.state == "Z":
        threads = humanize.count(process.threads - 1, "thread is", "threads are")
        return [(MAGENTA, f"not a zombie: its main thread has ended, {threads} running")]
    stops = {"T": "stopped", "t": "stopped by its tracer"}
    return [(MAGENTA, stops[process.state])] if process.state in stops else []


def _rows(family: list[Node], depth: int, deepest: int, clock: Ages) -> list[Row]:
    dead = [node.process for node in family if node.process.is_dead and node.generation <= depth]
    ended = clock.of_zombies(dead)
    tops = folded(node for node in family if node.generation == 0)
    rows, stack = [], [(top, "", "") for top in reversed(tops)]
    while stack:
        group, lead, branch = stack.pop()
        generation = group[0].generation
        number = f"(generation {generation}) " if generation > deepest else ""
        rows.append(_row(group, f"{lead}{branch}{number}", generation == depth, clock, ended))
        if generation == depth:
            continue
        if 0 < generation < deepest:
            lead += "   " if branch.startswith("└") else "│  "
        groups = folded(child for node in group for child in node.children)
        stack += [(one, lead, "├─ " if one is not groups[-1] else "└─ ") for one in reversed(groups)]
    return rows


def _row(group: list[Node], drawing: str, is_cut: bool, clock: Ages, ended: dict[int, Age]) -> Row:
    first = group[0]
    since = sorted(clock.since_start(node.process) for node in group)
    age, most = humanize.duration(since[0]), humanize.duration(since[-1])
    name = first.command if len(group) == 1 else f"{len(group)} {_TIMES} {first.command}"
    details = [text for _, text in first.marks]
    if first.process.is_dead:
        longest = oldest(ended[node.process.pid] for node in group)
        details[0] = f"zombie for {longest}" if len(group) == 1 else f"zombies, the oldest for {longest}"
    if len(group) > 1:
        more = ", …" if len(group) > _FEW else ""
        details.append(f"(pids {', '.join(str(node.process.pid) for node in group[:_FEW])}{more})")
    below, zombies = sum([node.below for node in group]), sum([node.zombies for node in group])
    if is_cut and below:
        details.append(f"… {below} more below" + (f", {humanize.count(zombies, 'zombie')}" if zombies else ""))
    tail = "".join([f"  {one}" for one in details])
    colour = first.marks[0][0] if first.marks else ""
    ages_of_all = age if age == most else f"{age}-{most}"
    return str(first.process.pid), first.process.state, ages_of_all, drawing, name, tail, colour


def _lines(rows: list[Row], columns: int, is_drawable: bool) -> list[str]:
    """The rows as text, none longer than `columns`, unless that is 0."""
    rows = [("PID", "S", "AGE", "", "COMMAND", "", ""), *rows]
    pid_width, _, age_width = (max(map(len, column)) for column in list(zip(*rows, strict=True))[:3])
    is_coloured = columns and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    lines = []
    for pid, state, age, drawing, command, tail, colour in rows:
        before = f"{pid:>{pid_width}} {state} {age:>{age_width}}  {drawing}"[: columns or None]
        room = columns - len(before)
        space = max(room - len(tail), _SHORT) if columns else _LONGEST  # the tail has what is unusual
        name = _cut(command, space)
        text = (name if name == command else f"{_cut(name, space - 1)}…") + tail
        if not is_drawable:
            before, text = before.translate(_ASCII), text.translate(_ASCII)
        text = _cut(text, room) if columns else text
        lines.append(before + (f"\x1b[{colour}m{text}\x1b[0m" if is_coloured and colour else text))
    return lines


def _cut(text: str, room: int) -> str:
    """The beginning of a text, at most `room` columns wide; a character that may be two columns wide counts as two."""
    for position, character in enumerate(text):
        room -= 1 if character < "\u1100" or character == "…" else 2
        if room < 0:
            return text[:position]
    return text


def _is_drawable(encoding: str) -> bool:
    try:
        f"├└│─{_TIMES}…".encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
