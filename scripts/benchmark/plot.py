"""The figures as a picture: a panel for each, with a bar for each way that was timed."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from .figures import Figure
from .rows import ROWS

COLUMNS = 3
OURS, THEIRS, INK, FAINT = "#c8322b", "#9aa3ad", "#1f2328", "#d8dce1"
VERDICT = {True: "#1a7f37", False: "#b35900", None: INK}


def draw(path: Path, figures: Sequence[Figure]) -> None:
    """Writes the picture. Figures of the same times share a panel; those without times, as failed ones, have none."""
    panels = [list(same) for times, same in groupby(figures, key=lambda figure: figure.samples) if times]
    if not panels:
        return
    rows = math.ceil(len(panels) / COLUMNS)
    with pyplot.rc_context({"font.size": 8, "axes.edgecolor": FAINT, "text.color": INK, "font.family": "DejaVu Sans"}):
        size = (5.6 * COLUMNS, 2.2 * rows)
        sheet, axes = pyplot.subplots(rows, COLUMNS, figsize=size, squeeze=False, layout="constrained")
        for place, panel in zip_longest(axes.flat, panels):
            if panel is None:
                place.set_visible(False)
            else:
                _panel(place, panel)
        sheet.get_layout_engine().set(h_pad=0.1, w_pad=0.1)
        sheet.savefig(path, dpi=110, facecolor="white")
        pyplot.close(sheet)


def _panel(axes: Any, figures: Sequence[Figure]) -> None:
    samples = figures[0].samples
    ways, medians = list(samples), [taken.median for taken in samples.values()]
    below = [taken.median - taken.quartiles[0] for taken in samples.values()]
    above = [taken.quartiles[1] - taken.median for taken in samples.values()]
    scale, unit = (1, "s") if max(medians) >= 2 else (1000, "ms")
    bars, errors = [scale * m for m in medians], [[scale * e for e in edge] for edge in (below, above)]
    colours = [OURS if way.startswith("safelight") else THEIRS for way in ways]
    axes.barh(range(len(ways)), bars, xerr=errors, color=colours, height=0.62, error_kw={"lw": 0.8, "ecolor": INK})
    axes.set_yticks(range(len(ways)), ways)
    axes.invert_yaxis()
    axes.set_xlabel(unit, labelpad=1)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    _title(axes, figures)


def _title(axes: Any, figures: Sequence[Figure]) -> None:
    """The row and the case, and a line for each figure, in the colour of what came of its goal."""
    first = figures[0]
    head = f"{first.row}   {first.case}: {ROWS[first.row].title}"
    axes.set_title(head + "\n" * len(figures), loc="left", fontsize=8, weight="bold")
    for line, figure in enumerate(reversed(figures)):
        goal = f", goal {figure.goal.text(figure.unit)}" if figure.goal else ""
        line_text = textwrap.shorten(f"{figure.name}: {figure.text()}{goal}", 76, placeholder="…")
        place = {"xytext": (0, 4 + 11 * line), "textcoords": "offset points", "xycoords": "axes fraction"}
        axes.annotate(line_text, (0, 1), color=VERDICT[figure.met], **place).set_in_layout(False)
