"""The figures as text for people, and as data for programs."""

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.figures import Measurement, Quantity, Target


def describe_machine() -> dict[str, Any]:
    """The machine that the figures were taken on."""
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
    """The versions of the inits, and the machine."""
    return f"{', '.join(f'{name} {version}' for name, version in versions.items())}\n{in_words(machine)}"


def in_words(machine: dict[str, Any]) -> str:
    """The machine in one line."""
    return (
        f"{machine['processors']} x {machine['processor']}, {machine['memory_kB'] / 1e6:.0f} GB, "
        f"{machine['system']}, Linux {machine['kernel']}"
    )


def as_text(measurement: Measurement) -> str:
    """A table for each quantity, then the verdicts."""
    lines = [measurement.title]
    for quantity in measurement.quantities:
        lines += ["", *_aligned(rows(quantity))]
    return "\n".join([*lines, "", *(f"  {_verdict(target)}" for target in measurement.targets)])


def rows(quantity: Quantity) -> list[list[str]]:
    """The heading, and a row for each contender: median, quartiles, number of values, ratios; or its remark alone."""
    table = [[quantity.title, "median", "quartiles", "n", *(f"/ {base}" for base in quantity.bases)]]
    for name, series in quantity.series.items():
        quartiles = " - ".join(map(number, series.quartiles)) if len(series.values) > 1 else ""
        ratios = [_ratio(quantity.ratio(name, base)) for base in quantity.bases]
        table.append([name, number(series.median), quartiles, str(len(series.values)), *ratios])
    return [*table, *([name, remark] for name, remark in quantity.remarks.items())]


def _aligned(table: list[list[str]]) -> Iterator[str]:
    full = [row for row in table if len(row) == len(table[0])]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    widths[0] = max(len(row[0]) for row in table)
    for row in table:
        first, *others = row
        if row in full:
            others = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield f"  {first:<{widths[0]}}  {'  '.join(others)}"


def number(value: float) -> str:
    """At least three digits, and no more decimals than that takes."""
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 10 else number(value)


def reached(target: Target) -> str:
    """The value of a target, and its bound."""
    unit = f" {target.unit}" if target.unit else ""
    return f"{digits(target.value)}{unit} ({bound(target)} {target.limit:g})"


def bound(target: Target) -> str:
    """The side of its limit that the target has to be on."""
    return "at least" if target.at_least else "at most"


def digits(value: float) -> str:
    """Three digits, or all digits of the integer part of a large number."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _verdict(target: Target) -> str:
    return f"{'met   ' if target.met else 'MISSED'}  {target.claim}: {reached(target)}"


def as_data(measurement: Measurement) -> dict[str, Any]:
    """The measurement for JSON, with every value, so that others can make their own plots."""
    return {
        "name": measurement.name,
        "title": measurement.title,
        "quantities": [
            {
                "name": quantity.name,
                "unit": quantity.unit,
                "group": quantity.group,
                "contenders": {
                    name: {
                        "median": _round(series.median),
                        "quartiles": list(map(_round, series.quartiles)),
                        "ratios": {base: _round(quantity.ratio(name, base)) for base in quantity.bases},
                        "values": list(map(_round, series.values)),
                    }
                    for name, series in quantity.series.items()
                },
                "remarks": quantity.remarks,
            }
            for quantity in measurement.quantities
        ],
        "targets": [
            {
                "claim": target.claim,
                "value": _round(target.value),
                "limit": target.limit,
                "bound": bound(target),
                "unit": target.unit,
                "met": target.met,
            }
            for target in measurement.targets
        ],
    }


def _round(value: float) -> float:
    """Round to four digits: the fifth would be noise."""
    return float(f"{value:.4g}")
