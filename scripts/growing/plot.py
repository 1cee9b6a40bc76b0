"""The lines as a picture: a row for each, with a panel for the step, the event loop and the memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

from .lines import LINES, Line
from .results import Result
from .straight import POINTS, fit

UNET, OTHER, REST, INK, FAINT = "#3b6ea5", "#9db8d6", "#c8322b", "#1f2328", "#d8dce1"
STEP = {"unet": ("the UNet's own", UNET), "other": ("other networks", OTHER), "rest": ("no inference", REST)}
# By panel: cost, title, scale of its numbers and of its axis.
PANELS = (("lag_p99", "event-loop lag, p99, ms", 1e3, "log"), ("memory", "memory, MB", 1e-6, "linear"))


def draw(path: Path, results: Mapping[str, Result]) -> None:
    names = [name for name in LINES if name in results]
    with pyplot.rc_context({"font.size": 9, "axes.edgecolor": FAINT, "text.color": INK, "font.family": "DejaVu Sans"}):
        size = (13.5, 3.0 * len(names))
        sheet, axes = pyplot.subplots(len(names), 3, figsize=size, squeeze=False, layout="constrained")
        for row, name in zip(axes, names, strict=True):
            line, result = LINES[name], results[name]
            _step(row[0], line, result)
            for panel, (cost, title, scale, axis) in zip(row[1:], PANELS, strict=True):
                _cost(panel, line, result, cost, scale)
                panel.set_title(title, loc="left", weight="bold")
                panel.set_yscale(axis)
                panel.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
                panel.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
                if axis == "linear":
                    panel.set_ylim(bottom=0)
                else:  # whole decades, so that a few ms up and down look like that
                    panel.set_ylim(1, max(100, 1.5 * scale * max(result.heights(cost))))
            row[0].set_title(f"{line.title}: a step, ms", loc="left", weight="bold")
        sheet.savefig(path, dpi=100, facecolor="white")
        pyplot.close(sheet)


def _step(axes: Any, line: Line, result: Result) -> None:
    """What a step takes, in three parts that stand on each other."""
    below = [0.0] * len(result.places)
    ticks = range(len(result.places))
    for cost, (title, colour) in STEP.items():
        heights = [max(0.0, 1e3 * height) for height in result.heights(cost)]
        axes.bar(ticks, heights, bottom=below, label=title, color=colour, width=0.7)
        below = [base + height for base, height in zip(below, heights, strict=True)]
    axes.set_xticks(ticks, [str(place) for place in result.places])
    axes.legend(frameon=False, fontsize=8)
    _finish(axes, line)


def _cost(axes: Any, line: Line, result: Result, cost: str, scale: float) -> None:
    """The points, and the straight line through them, which is bent by the logarithmic scale of the places."""
    places = [line.place(point) for point in result.places]
    heights = result.heights(cost)
    axes.plot(places, [scale * height for height in heights], "o-", color=REST, lw=1.6, label="measured")
    if len(places) >= POINTS:
        straight = fit(places, heights)
        heights = [scale * max(straight.at(place), 0) or float("nan") for place in places]
        axes.plot(places, heights, "--", color=INK, lw=1, label="a straight line")
    axes.set_xscale("log")
    axes.set_xticks(places, [str(point) for point in result.places])
    axes.minorticks_off()
    axes.grid(color=FAINT, lw=0.6)
    axes.legend(frameon=False, fontsize=8)
    _finish(axes, line)


def _finish(axes: Any, line: Line) -> None:
    axes.set_xlabel(line.axis, labelpad=2)
    axes.tick_params(length=0)
    axes.spines[["top", "right"]].set_visible(False)
