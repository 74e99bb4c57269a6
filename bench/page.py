"""The page of a run, ``docs/benchmarks.md``, with its plots, and the figures as JSON."""

import datetime
import json
import statistics
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import plots, report
from bench.contenders import DIRECT, INTERPRETER, PYINIT, REFERENCE
from bench.figures import Measurement, Quantity, Target
from bench.reaping import CROWDS

PAGE = "benchmarks.md"
FOLDER = "benchmarks"
FIGURES = "figures.json"
NO_BREAK = "\N{NO-BREAK SPACE}"

OPENING = """\
# Benchmarks: what an init in Python costs

Medians of one run of `make bench`, which wrote this page on {date}. {quick}The best init in each column is bold.
`{direct}` is the workload without an init. `{interpreter}` is `python3 -I -S` without pyinit: the lower bound for any
init in Python.

{overview}

**What you pay** for an init in Python instead of tini: the workload starts {later} ms later, and the init takes
{memory} MB more memory, {share:.0f} % of which is the interpreter itself. While the container runs, a signal takes
{signal:.2f} times as long as through tini, a storm of orphans is reaped at {storm:.2f} times the rate of tini, and
reaping a single orphan takes {single:.2f} times as long.

**Where other inits are better** in this table:

{better}

## The targets

{targets}
{reasons}
## How it was measured

On {machine}: {versions}.

Each init is PID 1 of its own PID namespace, with its own `/proc`. A C program starts it, and reads the clock before
and after. Workloads and measuring programs are static C programs too, built at the start
([`bench/probes`](../bench/probes)). The inits take turns, in a different order each round, so that a machine that
slows down affects all of them alike. The tables give the median of *n* values and, in brackets, the quartiles. A ratio
(`/ tini`) is the median of the ratios of all rounds, not the ratio of the medians. An init that has used up its time
sits out the remaining rounds.

The peers are Debian's packages. Debian's docker-init is tini, linked statically. s6 is `s6-svscan` with one service,
whose `finish` script ends s6-svscan. supervisord runs one program, and an event listener that ends supervisord. Both
do more than an init: they restart processes that exit, and write logs. Their figures include their helpers.

Run it yourself, as root: `make bench` writes this page, `make bench ARGS=--quick` prints the tables of a shorter run,
and `make bench ARGS="start signals"` prints the tables of the named parts. All values:
[`{figures}`]({folder}/{figures}).

"""


class Column(NamedTuple):
    """A column of the first table: its heading, the quantity that it shows, and whether more is better."""

    heading: str
    measurement: str
    quantity: str
    group: str = ""
    more: bool = False


COLUMNS = (
    Column("until the workload runs, ms", "start", "until the workload runs"),
    Column("empty run, ms", "start", "whole run"),
    Column("signal p50, µs", "signals", "p50", "idle"),
    Column("until an orphan is reaped, µs", "reaping", "one at a time"),
    Column("orphans reaped per second", "reaping", "storm", more=True),
    Column("own memory, kB", "memory", "private dirty"),
    Column("wake-ups per minute when idle", "idle", "wake-ups a minute"),
    Column("SIGTERM to the end of PID 1, ms", "ending", "SIGTERM to the end of PID 1"),
)


def write(
    folder: Path, found: Sequence[Measurement], machine: dict[str, Any], versions: dict[str, str], quick: bool
) -> None:
    """Write the page to `folder`, and its plots and ``figures.json`` to a folder beside it."""
    beside = folder / FOLDER
    beside.mkdir(parents=True, exist_ok=True)
    date = datetime.date.today().isoformat()
    data = {
        "date": date,
        "quick": quick,
        "machine": machine,
        "versions": versions,
        "measurements": [report.as_data(measurement) for measurement in found],
    }
    (beside / FIGURES).write_text(json.dumps(data, ensure_ascii=False) + "\n")
    measurements = {measurement.name: measurement for measurement in found}
    drawn = _draw(beside, measurements)
    words = _opening(measurements, machine, versions, date, quick)
    sections = (_section(measurement, drawn) for measurement in found)
    (folder / PAGE).write_text(_wrapped(words + "\n".join(sections)))


def _wrapped(text: str) -> str:
    """The text with paragraphs wrapped at 120 columns; tables, lists, headings and images stay as they are."""
    blocks = text.split("\n\n")
    return (
        "\n\n".join(
            block
            if block.startswith(("|", "#", "- ", "!"))
            else textwrap.fill(block, 120, break_long_words=False, break_on_hyphens=False)
            for block in blocks
        ).rstrip()
        + "\n"
    )


def _draw(folder: Path, found: dict[str, Measurement]) -> dict[str, str]:
    """Draw the plots; return the description of each, by the name of its measurement."""
    start, memory, ending = found["start"], found["memory"], found["ending"]
    plots.dots(folder / "start.svg", {quantity.name: [quantity] for quantity in start.quantities})
    plots.dots(folder / "signals.svg", dict(found["signals"].groups()))
    *crowds, _ = found["reaping"].groups()["all at once"]
    plots.growth(folder / "reaping.svg", CROWDS[: len(crowds)], crowds, "orphans at once")
    kinds = len(memory.quantities)
    aged = found["age"]
    plots.dots(folder / "memory.svg", {memory.title: memory.quantities, aged.title: aged.quantities[:kinds]})
    plots.dots(folder / "ending.svg", {"": ending.quantities})
    return {
        "start": "milliseconds until the workload runs and of an empty run, by init",
        "signals": "microseconds from a signal to the answer, by init, idle and under load",
        "reaping": "milliseconds until the last of many orphans is reaped, by their number, one line per init",
        "memory": "kilobytes of private dirty, resident and proportional memory, by init, young and old",
        "ending": "milliseconds from SIGTERM to the end of PID 1, by init",
    }


def _opening(
    found: dict[str, Measurement], machine: dict[str, Any], versions: dict[str, str], date: str, quick: bool
) -> str:
    columns = {column: _find(found, column) for column in COLUMNS}
    start, _, signal, single, storm, memory, *_ = columns.values()
    dirty = {name: series.median for name, series in memory.series.items()}
    more = dirty[PYINIT] - dirty[REFERENCE]
    targets = [target for measurement in found.values() for target in measurement.targets]
    return OPENING.format(
        date=date,
        quick="This was a quick run, with fewer samples. " if quick else "",
        direct=DIRECT,
        interpreter=INTERPRETER,
        overview=_overview(columns),
        later=report.number(start.series[PYINIT].median - start.series[REFERENCE].median),
        memory=report.number(more / 1000),
        share=(dirty[INTERPRETER] - dirty[REFERENCE]) / more * 100,
        signal=signal.ratio(PYINIT, REFERENCE),
        storm=storm.ratio(PYINIT, REFERENCE),
        single=single.ratio(PYINIT, REFERENCE),
        better="\n".join(_better(columns)) or "nowhere.",
        targets=_table(["", "reached", "target", ""], [_verdict(target) for target in targets]),
        reasons="".join(f"\n{_excuse(target)}\n" for target in targets if not target.met),
        machine=report.in_words(machine),
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        folder=FOLDER,
        figures=FIGURES,
    )


def _find(found: dict[str, Measurement], column: Column) -> Quantity:
    for quantity in found[column.measurement].quantities:
        if (quantity.name, quantity.group) == (column.quantity, column.group):
            return quantity
    raise LookupError(column)


def _overview(columns: dict[Column, Quantity]) -> str:
    names = dict.fromkeys(name for quantity in columns.values() for name in quantity.series)
    rows = []
    for name in names:
        row = [name]
        for column, quantity in columns.items():
            if name not in quantity.series:
                row.append("-")
                continue
            value = report.number(quantity.series[name].median)
            row.append(f"**{value}**" if name in _best(column, quantity) else value)
        rows.append(row)
    return _table(["", *(column.heading for column in columns)], rows)


def _best(column: Column, quantity: Quantity) -> list[str]:
    """The best inits of this column; the bare workload and the bare interpreter do not count."""
    medians = {name: series.median for name, series in quantity.series.items() if name not in (DIRECT, INTERPRETER)}
    best = max(medians.values()) if column.more else min(medians.values())
    return [name for name, median in medians.items() if median == best]


def _better(columns: dict[Column, Quantity]) -> Iterator[str]:
    for column, quantity in columns.items():
        best = _best(column, quantity)
        if PYINIT not in best:
            ours, theirs = (report.number(quantity.series[name].median) for name in (PYINIT, best[0]))
            yield f"- {column.heading}: {theirs} with {best[0]}, {ours} with pyinit"


def _verdict(target: Target) -> list[str]:
    unit = f" {target.unit}" if target.unit else ""
    return [
        target.claim,
        f"{report.digits(target.value)}{unit}",
        f"{report.bound(target)} {target.limit:g}{unit}",
        "met" if target.met else "**missed**",
    ]


def _excuse(target: Target) -> str:
    by = f"{abs(target.value / target.limit - 1) * 100:.0f} %" if target.limit else report.digits(target.value)
    return f"**{target.claim}**: missed by {by}. {target.reason}".rstrip()


def _section(measurement: Measurement, drawn: dict[str, str]) -> str:
    lines = [f"## {measurement.title}", "", measurement.method, ""]
    if measurement.name in drawn:
        lines += [f"![{drawn[measurement.name]}]({FOLDER}/{measurement.name}.svg)", ""]
    for group, quantities in measurement.groups().items():
        lines += [_group(group, quantities), ""]
    return "\n".join(lines)


def _group(group: str, quantities: Sequence[Quantity]) -> str:
    """One table with the quantities side by side: median, quartiles, count and ratios."""
    tables = [report.rows(quantity) for quantity in quantities]
    names = dict.fromkeys(row[0] for table in tables for row in table[1:])
    heading, rows = [group], [[name] for name in names]
    for table, quantity in zip(tables, quantities, strict=True):
        ratios = [ratio.replace(" ", NO_BREAK) for ratio in table[0][4:]]
        usual = statistics.mode(len(series.values) for series in quantity.series.values())
        name = f"{quantity.name}, {quantity.unit}" if quantity.unit else quantity.name
        heading += [f"{name} (*n* {usual})" if usual > 1 else name, *ratios]
        cells = {row[0]: row[1:] for row in table[1:]}
        for row in rows:
            median, quartiles, count, *factors = [*cells.get(row[0], []), *[""] * (3 + len(ratios))][: 3 + len(ratios)]
            if quartiles:
                quartiles = quartiles.replace(" ", NO_BREAK)
                median += f" ({quartiles})" if count == str(usual) else f" ({quartiles}; *n* {count})"
            row += [median, *factors]
    return _table(heading, rows)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *(["---:"] * (len(heading) - 1))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heading, rule, *rows))
