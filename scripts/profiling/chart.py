"""Runs as a picture: a bar for each network, cut by kinds of operation, and what its convolutions alone could take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from . import kinds, peaks, report

COLOURS = ("#c8322b", "#e58f3a", "#e8c547", "#3b7ea1", "#6bb0a2", "#9aa3ad", "#d8dce1")
INK = "#1f2328"


def draw(file: Path, runs: Sequence[Mapping[str, Any]]) -> None:
    """One panel a run: absolute times, with a mark where all products would end at the peak."""
    with pyplot.rc_context({"font.size": 8, "text.color": INK, "font.family": "DejaVu Sans"}):
        sheet, panels = pyplot.subplots(
            len(runs), figsize=(9, 1.7 * len(runs) + 0.6), squeeze=False, layout="constrained"
        )
        for axes, run in zip(panels.flat, runs, strict=True):
            _panel(axes, run)
        handles, labels = panels.flat[0].get_legend_handles_labels()
        sheet.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        sheet.savefig(file, dpi=110, facecolor="white")
        pyplot.close(sheet)


def _panel(axes: Any, run: Mapping[str, Any]) -> None:
    top = report.best(run["peaks"])
    names = [f"{one['part']}\n{one['way']}" for one in run["networks"]]
    left = [0.0] * len(names)
    for kind, colour in zip(kinds.KINDS, COLOURS, strict=True):
        seconds = [one["kinds"][kind]["seconds"] for one in run["networks"]]
        axes.barh(names, seconds, left=left, color=colour, label=kind)
        left = [before + more for before, more in zip(left, seconds, strict=True)]
    for place, one in enumerate(run["networks"]):
        least = sum(one["kinds"][kind]["gflop"] / top[peak] for kind, peak in peaks.PEAK_OF.items())
        axes.plot([least] * 2, [place - 0.42, place + 0.42], color=INK, linewidth=1.5, label=_mark(place))
    axes.invert_yaxis()
    axes.set_title(f"{run['model']}, {run['size']} px", loc="left", fontsize=8)
    axes.set_xlabel("seconds", fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _mark(place: int) -> str:
    return "all products at the peak" if place == 0 else "_"
