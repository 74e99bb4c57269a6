"""The page `docs/reliability.md`."""

import inspect
import platform
import subprocess
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.report import describe_machine
from pyinit import __version__
from soak.fault import Counts
from soak.turns import Outcome, fault_of

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"

MAIN = ("orphans", "signals", "faults")
"""What the first table shows; the others are a fault's own."""

TEMPLATE = """\
# Reliability: what was done to it, and what came of it

`make soak` does pyinit all the harm that is told of below, again and again and in another way each time, and looks
after each run whether it has kept what it promises. This page was written by such a soak:

**{verdict}** In {minutes} minutes: {orphans} orphans reaped, {signals} signals delivered, {faults} faults of {kinds}
kinds.

{table}

(Bad input is tried beside the others all the time. A fault is one storm, one pause, one call refused and so on; a
signal counts as often as it has arrived.)
{failures}
## What has to hold after each run

- No zombie is left that PID 1 is the parent of.
- No signal is lost whose delivery the kernel promises: each instance of a real-time signal, and of a standard one,
  which swallows the next while it is pending, one at least after the last that was sent. None comes that nobody sent.
- PID 1 holds no more descriptors than when it had warmed up, and no more memory of its own (private dirty) but for
  noise: {growth} kB, since the allocator of an interpreter takes memory by leaps.
- What `pyinitctl status` tells is right, to the last orphan and the last real-time signal.
- The exit status is the right one, and the log tells of no error that pyinit did not expect.

## What was done

{sections}
## Do it again

    make soak                                       # {default} minutes
    make soak MINUTES=240
    make soak ARGS="--only stalled --only stops"    # these alone
    make soak ARGS="--only stalled --seed 7"        # a run once more, by the seed in its line

It takes root, for the namespaces, and a Docker engine; where none answers, it starts one of its own. Each run prints
a line. One that finds a promise broken says so at once, with what does the same again, and the others go on; the exit
status is 1 in the end. With `--only` or `--seed` this page is not written. A seed draws the same faults in the same
order. What the machine makes of that is another matter, so a rare failure may take some tries.

## On what

{machine}

## What is not covered

- Kernels and architectures other than those above.
- A machine that is suspended, or a container that is frozen to disk and brought back (CRIU).
- The time of day set for all of the machine (`settimeofday(2)`): no namespace has one of its own, so a library makes it
  jump for PID 1 alone. Its deadlines go by the monotonic clock, which nobody can set.
- Signals that the kernel does not promise to deliver: a stop signal that a SIGCONT discards, and the other way round; a
  SIGCHLD that is sent while one is pending for a child; real-time signals past `RLIMIT_SIGPENDING`.
- SIGKILL for PID 1 itself, from outside of its namespace: that ends everything in it, as it has to.
- A workload that means harm: see [security](security.md).
"""


def write(outcomes: Sequence[Outcome], python: str, minutes: float, default: float, growth: int) -> None:
    """Write the page on these outcomes of so many minutes, with the interpreter `python`.

    `default`: the minutes that `make soak` takes if nothing is said; `growth`: the kB of memory that count as noise.
    """
    names = list(dict.fromkeys(outcome.fault for outcome in outcomes))
    total = _total(outcomes)
    broken = [outcome for outcome in outcomes if outcome.broken]
    kept = f"In {len(outcomes) - len(broken):,} of {len(outcomes):,} runs every promise was kept."
    PAGE.write_text(
        TEMPLATE.format(
            verdict=kept if broken else f"In all {len(outcomes):,} runs every promise was kept.",
            minutes=f"{minutes:.0f}",
            orphans=f"{total['orphans']:,}",
            signals=f"{total['signals']:,}",
            faults=f"{total['faults']:,}",
            kinds=len(names),
            table="\n".join(_overview(names, outcomes)),
            failures=_failures(broken),
            growth=growth,
            sections="\n".join(_section(name, [one for one in outcomes if one.fault == name]) for name in names),
            default=f"{default:.0f}",
            machine=_machine(python),
        )
    )


def _total(outcomes: Iterable[Outcome]) -> Counts:
    total = Counts()
    for outcome in outcomes:
        total.update(outcome.counts)
    return total


def _overview(names: Sequence[str], outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield f"| what was done | runs | minutes | {' | '.join(MAIN)} | runs that broke a promise |"
    yield f"|---|{'---:|' * (len(MAIN) + 3)}"
    for name in names:
        mine = [outcome for outcome in outcomes if outcome.fault == name]
        total = _total(mine)
        cells = [f"{total[what]:,}" if total[what] else "" for what in MAIN]
        minutes = sum(outcome.seconds for outcome in mine) / 60
        title = f"[{fault_of(name).NAME}](#{name.replace('_', '-')})"
        broken = sum(bool(outcome.broken) for outcome in mine)
        yield f"| {title} | {len(mine):,} | {minutes:.1f} | {' | '.join(cells)} | {broken} |"


def _section(name: str, outcomes: Sequence[Outcome]) -> str:
    """What a fault is, and its figures."""
    total = _total(outcomes)
    seconds = [outcome.seconds for outcome in outcomes]
    rows = [
        ("runs", f"{len(outcomes):,}"),
        ("seconds a run", f"{min(seconds):.1f} to {max(seconds):.1f}" if len(seconds) > 1 else f"{seconds[0]:.1f}"),
        *((what, f"{count:,}") for what, count in sorted(total.items()) if count),
    ]
    table = "\n".join(["| | |", "|---|---:|", *(f"| {what} | {figure} |" for what, figure in rows)])
    text = inspect.getdoc(fault_of(name).run) or ""
    return f"### {name.replace('_', ' ')}\n\n{text}\n\n{table}\n"


def _failures(broken: Sequence[Outcome]) -> str:
    if not broken:
        return ""
    lines = [f"- `{one.again}`: {textwrap.shorten(one.broken, 300)}" for one in broken]
    return "\n".join(["", "What was broken:", "", *lines, ""])


def _machine(python: str) -> str:
    machine = describe_machine()
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return (
        f"pyinit {__version__}, {version}, {machine['processors']} x {machine['processor']} ({platform.machine()}), "
        f"{machine['memory_kB'] / 1e6:.0f} GB, {machine['system']}, Linux {machine['kernel']}."
    )
