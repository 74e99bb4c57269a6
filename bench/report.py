"""The figures as people read them, and as programs do."""

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.figures import Measurement, Quantity, Target


def describe_machine() -> dict[str, Any]:
    """What the figures were taken on."""
    about = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    models = [value.strip() for name, _, value in about if name.strip() == "model name"]
    return {
        "processor": models[0] if models else platform.machine(),
        "processors": sum(name.strip() == "processor" for name, _, _ in about),
        "memory_kB": int(Path("/proc/meminfo").read_text().split()[1]),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
    }


def heading(machine: dict[str, Any], versions: dict[str, str]) -> str:
    """What was measured, and on what."""
    return (
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}\n"
        f"{machine['processors']} x {machine['processor']}, {machine['memory_kB'] / 1e6:.0f} GB, "
        f"{machine['system']}, Linux {machine['kernel']}"
    )


def as_text(measurement: Measurement) -> str:
    """A table for each quantity, a row for each contender: median, quartiles and ratios; then the verdicts."""
    lines = [measurement.title]
    for quantity in measurement.quantities:
        lines += ["", *_table(quantity)]
    return "\n".join([*lines, "", *(f"  {_verdict(target)}" for target in measurement.targets)])


def _table(quantity: Quantity) -> Iterator[str]:
    heading = f"{quantity.name}, {quantity.unit}" if quantity.unit else quantity.name
    rows = [[heading, "median", "quartiles", *(f"/ {base}" for base in quantity.bases)]]
    for name, series in quantity.series.items():
        quartiles = " - ".join(map(_number, series.quartiles))
        ratios = [f"{quantity.ratio(name, base):.2f}" for base in quantity.bases]
        rows.append([name, _number(series.median), quartiles, *ratios])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield f"  {first:<{widths[0]}}  {'  '.join(cells)}"


def _number(value: float) -> str:
    """Three digits at least, and no more decimals than they take."""
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}"


def _verdict(target: Target) -> str:
    value = f"{target.value:g} {target.unit}" if target.unit else f"{target.value:.3g}"
    bound = "at least" if target.at_least else "at most"
    return f"{'met   ' if target.met else 'MISSED'}  {target.claim}: {value} ({bound} {target.limit:g})"


def as_data(measurement: Measurement) -> dict[str, Any]:
    """The same for JSON, with every value, so that others can draw what they like."""
    return {
        "name": measurement.name,
        "title": measurement.title,
        "quantities": [
            {
                "name": quantity.name,
                "unit": quantity.unit,
                "contenders": {
                    name: {
                        "median": series.median,
                        "quartiles": series.quartiles,
                        "ratios": {base: quantity.ratio(name, base) for base in quantity.bases},
                        "values": series.values,
                    }
                    for name, series in quantity.series.items()
                },
            }
            for quantity in measurement.quantities
        ],
        "targets": [
            {
                "claim": target.claim,
                "value": target.value,
                "limit": target.limit,
                "bound": "at least" if target.at_least else "at most",
                "unit": target.unit,
                "met": target.met,
            }
            for target in measurement.targets
        ],
    }
