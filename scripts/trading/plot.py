"""The points as a picture: seconds against dB, a panel for each case, the front as a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

from .cases import CASES
from .front import NEAREST, Point, front
from .page import Result

INK, FAINT = "#1f2328", "#d8dce1"
COLOURS = {
    "precision": "#1f2328",
    "INT8": "#3b6ea5",
    "tiny decoder": "#7b5ea7",
    "DeepCache": "#2f8f6b",
    "guidance cut-off": "#b8860b",
    "fewer steps": "#5b6570",
    "handoff": "#d9822b",
    "together": "#c8322b",
}
HIGH, WIDE, LINE = 6.4, 12.0, 0.031  # inches; a line of text, as a share of the height


def draw(path: Path, results: Mapping[str, Result]) -> None:
    names = [name for name in CASES if name in results]
    with pyplot.rc_context({"font.size": 9, "axes.edgecolor": FAINT, "text.color": INK, "font.family": "DejaVu Sans"}):
        size = (WIDE, HIGH * len(names))
        sheet, axes = pyplot.subplots(len(names), 1, figsize=size, squeeze=False, layout="constrained")
        for place, name in zip(axes.flat, names, strict=True):
            _panel(place, results[name].points)
            place.set_title(CASES[name].says, loc="left", weight="bold", fontsize=10)
        sheet.savefig(path, dpi=100, facecolor="white")
        pyplot.close(sheet)


def _panel(axes: Any, points: Sequence[Point]) -> None:
    best = front(points)
    seconds, near = [1000 * point.seconds for point in best], [point.near for point in best]
    axes.plot(seconds, near, color=FAINT, lw=6, solid_capstyle="round", zorder=1)
    for kind, colour in COLOURS.items():
        same = [point for point in points if point.kind == kind]
        at = [1000 * point.seconds for point in same], [point.near for point in same]
        axes.scatter(*at, s=46, color=colour, label=kind if same else None, zorder=3)
    axes.set(xscale="log", xlabel="ms a picture", ylabel="dB to the exact picture, in f32")
    axes.set_xlim(min(seconds) / 1.15, 1000 * max(point.seconds for point in points) * 1.9)
    axes.set_ylim(min(point.near for point in points) - 3, NEAREST + 3)
    axes.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()
    axes.grid(color=FAINT, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", fontsize=9)
    _names(axes, points, best)


def _names(axes: Any, points: Sequence[Point], best: Sequence[Point]) -> None:
    """A name beside each point, those of the front in bold; names that would lie on each other are moved down."""
    taken: list[tuple[float, float]] = []  # where names are, in shares of the panel
    for point in sorted(points, key=lambda point: -point.near):
        at = axes.transData.transform((1000 * point.seconds, point.near))
        x, y = axes.transAxes.inverted().transform(at)
        while any(abs(x - left) < 0.24 and abs(y - height) < LINE for left, height in taken):
            y -= LINE / 4
        taken.append((x, y))
        weight = "bold" if point in best else "normal"
        axes.annotate(
            point.name,
            (1000 * point.seconds, point.near),
            xytext=(x + 0.012, y),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color=COLOURS[point.kind],
            weight=weight,
            arrowprops={"arrowstyle": "-", "color": FAINT, "lw": 0.7, "shrinkB": 3},
            zorder=2,
        )
