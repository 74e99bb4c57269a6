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
"""The counts in the first table. The others are specific to a fault."""

TEMPLATE = """\
# Reliability: pyinit under faults

`make soak` injects the faults below into pyinit, again and again, with other random choices each time. After each run
it checks whether pyinit kept its promises. This page was written by such a soak:

**{verdict}** In {minutes} minutes: {orphans} orphans reaped, {signals} signals delivered,
{faults} faults of {kinds} kinds.

{table}

(Bad input is tested in parallel with all other faults. A fault is one storm, one pause, one refused call and so on. A
signal that several processes received counts once for each.)
{failures}
## What has to hold after each run

- PID 1 has no zombie child.
- Every signal arrives that the kernel promises to deliver. Of a real-time signal, every instance arrives. A standard
  signal absorbs further ones while it is pending, so at least one arrives after the last one was sent. No signal
  arrives that was not sent.
- PID 1 has no more open descriptors than after the warm-up. Its private dirty memory has grown by at most {growth} kB,
  since the interpreter's allocator takes memory in large pieces.
- The counters of `pyinitctl status` are exact, to the last orphan and the last real-time signal.
- The exit status is right, and the log reports no unexpected error of pyinit.

## The faults

{sections}
## Run it yourself

    make soak                                       # {default} minutes
    make soak MINUTES=240
    make soak ARGS="--only stalled --only stops"    # only these faults
    make soak ARGS="--only stalled --seed 7"        # repeat a run, with the seed from its line

It needs root for the namespaces, and a Docker engine. If no engine answers, it starts one. Each run prints a line. A
run that finds a broken promise reports it at once, with the command that repeats the run. The soak then goes on, and
exits with 1 at the end. With `--only` or `--seed` this page is not written. The same seed injects the same faults in
the same order, but their timing depends on the machine, so a rare failure may need several tries.

## The machine

{machine}

## What is not covered

- Kernels and architectures other than those above.
- Suspending the machine, or saving a container to disk and restoring it (CRIU).
- Setting the time of day of the whole machine (`settimeofday(2)`). No namespace has its own time of day, so a library
  makes it jump only for PID 1 and its workload. pyinit's deadlines use the monotonic clock, which cannot be set.
- Signals that the kernel does not promise to deliver: a stop signal that a SIGCONT discards, and vice versa; a SIGCHLD
  that is sent while one is pending for a child; real-time signals above `RLIMIT_SIGPENDING`.
- SIGKILL to PID 1 itself, from outside of its namespace: it ends everything in the namespace, as it has to.
- A malicious workload: see [security](security.md).
"""


def write(outcomes: Sequence[Outcome], python: str, minutes: float, default: float, growth: int) -> None:
    """Write the page from the outcomes of a soak of `minutes` with the interpreter `python`.

    `default` is the default of MINUTES for `make soak`; `growth` is the kB of memory growth that count as noise.
    """
    names = list(dict.fromkeys(outcome.fault for outcome in outcomes))
    total = _total(outcomes)
    broken = [outcome for outcome in outcomes if outcome.broken]
    kept = f"All promises were kept in {len(outcomes) - len(broken):,} of {len(outcomes):,} runs."
    PAGE.write_text(
        TEMPLATE.format(
            verdict=kept if broken else f"All promises were kept in all {len(outcomes):,} runs.",
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
    yield f"| fault | runs | minutes | {' | '.join(MAIN)} | runs with a broken promise |"
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
    """The description of a fault, and its figures."""
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
    return "\n".join(["", "Broken promises:", "", *lines, ""])


def _machine(python: str) -> str:
    machine = describe_machine()
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return (
        f"pyinit {__version__}, {version}, {machine['processors']} x {machine['processor']} ({platform.machine()}), "
        f"{machine['memory_kB'] / 1e6:.0f} GB, {machine['system']}, Linux {machine['kernel']}."
    )
