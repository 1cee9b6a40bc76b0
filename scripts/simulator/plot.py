"""Draws how latencies are spread, by policy and class of job."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from safelight_server.jobs import Priority

from .figures import latency
from .lanes import Run
from .traces import Job

CLASSES: dict[str, Callable[[Job], bool]] = {
    "short, interactive": lambda job: job.short and job.priority == Priority.INTERACTIVE,
    "short, normal": lambda job: job.short and job.priority == Priority.NORMAL,
    "long, interactive and normal": lambda job: not job.short and job.priority != Priority.BATCH,
    "batch": lambda job: job.priority == Priority.BATCH,
}


def draw(played: Mapping[str, Mapping[str, Sequence[Run]]], path: Path) -> None:
    """A row of panels for each kind of arrivals, a curve for each policy."""
    mpl.use("Agg")
    from matplotlib import pyplot

    size = (3.7 * len(CLASSES), 3.1 * len(played) + 0.4)
    figure, axes = pyplot.subplots(len(played), len(CLASSES), figsize=size, sharey=True, sharex="col", squeeze=False)
    for line, (arrivals, rows) in zip(axes, played.items(), strict=True):
        for panel, (name, wanted) in zip(line, CLASSES.items(), strict=True):
            for policy, runs in rows.items():
                seconds = np.sort(latency(wanted)(runs))
                ours = policy.startswith("Safelight")
                panel.plot(
                    seconds, np.linspace(0, 1, len(seconds)), label=policy, lw=2.2 if ours else 1.2, zorder=2 + ours
                )
            panel.set(xscale="log", title=f"{arrivals}: {name}", ylim=(0, 1))
            panel.grid(alpha=0.3, which="both")
        line[0].set_ylabel("share of jobs")
    for panel in axes[-1]:
        panel.set_xlabel("latency of at most so many seconds")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=6, frameon=False)
    figure.tight_layout(rect=(0, 0.4 / size[1], 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
