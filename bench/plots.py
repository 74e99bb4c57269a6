"""The figures as SVG plots; the same figures give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot, ticker

from bench.contenders import PYINIT
from bench.figures import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

INK = "#010203"
"""Stands for the colour of the text, which no curve has."""

STYLE: dict[Any, Any] = {
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "savefig.transparent": True,
    "svg.hashsalt": "pyinit",  # without it, ids of clip paths are random
    "svg.fonttype": "path",  # readers may not have our font
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "axes.axisbelow": True,
    "legend.frameon": False,
}
COLOURS = ("#2f81d6", "#e08214", "#808080")
"""Those that can be told from white as well as from black; so can the curves'."""

CURVES = ("#2f81d6", "#e08214", "#3a9d5d", "#d6453d", "#9573c9", "#a0705f", "#d065ad", "#808080")
ON_LIGHT_OR_DARK = "<style>svg{color:#1f2328} @media(prefers-color-scheme:dark){svg{color:#d0d4da}}</style>\n  "
MARKERS = "osDv^<>P"


def dots(file: Path, panels: dict[str, Sequence[Quantity]]) -> None:
    """Draw a row for each contender, a panel for each title, and a dot with quartiles for each quantity; log scale."""
    names = _names([quantity for quantities in panels.values() for quantity in quantities])
    with matplotlib.rc_context(STYLE):
        figure, all_axes = pyplot.subplots(
            1,
            len(panels),
            sharex=True,
            sharey=True,
            squeeze=False,
            layout="constrained",
            figsize=(8.5, 0.9 + 0.36 * len(names)),
        )
        for axes, (title, quantities) in zip(all_axes[0], panels.items(), strict=True):
            for place, (quantity, colour) in enumerate(zip(quantities, COLOURS, strict=False)):
                _draw(axes, names, quantity, colour, (place - (len(quantities) - 1) / 2) * 0.18)
            axes.set(title=title, xlabel=quantities[0].unit, xscale="log")
            _plain_numbers(axes.xaxis)
            axes.grid(axis="y", visible=False)
        first = all_axes[0][0]
        first.set_yticks(range(len(names)), names)
        first.set_ylim(len(names) - 0.5, -0.5)
        for label in first.get_yticklabels():
            label.set_fontweight("bold" if label.get_text() == PYINIT else "normal")
        if any(len(quantities) > 1 for quantities in panels.values()):
            handles, labels = first.get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        _save(figure, file)


def _draw(axes: Axes, names: list[str], quantity: Quantity, colour: str, shift: float) -> None:
    rows = [(names.index(name) + shift, series) for name, series in quantity.series.items()]
    medians = [series.median for _, series in rows]
    below = [series.median - series.quartiles[0] for _, series in rows]
    above = [series.quartiles[1] - series.median for _, series in rows]
    axes.errorbar(
        medians,
        [row for row, _ in rows],
        xerr=[below, above],
        fmt="o",
        markersize=5,
        color=colour,
        ecolor=colour,
        elinewidth=1.5,
        label=quantity.name,
    )


def growth(file: Path, sizes: Sequence[int], quantities: Sequence[Quantity], xlabel: str) -> None:
    """Draw a line for each contender over the sizes of the quantities; both axes have a log scale."""
    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(layout="constrained", figsize=(8.5, 4.2))
        for name, marker, colour in zip(quantities[0].series, MARKERS, CURVES, strict=False):
            points = [
                (size, quantity.series[name].median)
                for size, quantity in zip(sizes, quantities, strict=True)
                if name in quantity.series
            ]
            ours = name == PYINIT
            axes.plot(
                *zip(*points, strict=True),
                marker=marker,
                color=colour,
                markersize=6,
                linewidth=2.5 if ours else 1,
                zorder=3 if ours else 2,
                label=name,
            )
        axes.set(xlabel=xlabel, ylabel=quantities[0].unit, xscale="log", yscale="log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        _plain_numbers(axes.yaxis)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        _save(figure, file)


def _names(quantities: Sequence[Quantity]) -> list[str]:
    """All contenders that have a figure in one of the quantities, in their order."""
    return list(dict.fromkeys(name for quantity in quantities for name in quantity.series))


def _plain_numbers(axis: Axis) -> None:
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(ticker.NullFormatter())


def _save(figure: Figure, file: Path) -> None:
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    before, tag, after = file.read_text().partition("<defs>")
    file.write_text((before + ON_LIGHT_OR_DARK + tag + after).replace(INK, "currentColor"))
