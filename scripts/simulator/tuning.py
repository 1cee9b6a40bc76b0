"""The policy's constants, one varied at a time: the evidence for those that the server has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from safelight_server.jobs import Priority
from safelight_server.lanes.policy import TUNING, Tuning

from . import figures
from .figures import Column
from .policies import Policy, ours

VARIED: dict[str, tuple[Any, ...]] = {
    "weight": ((1.0, 1.0, 1.0), (0.5, 1.0, 2.0), (0.2, 1.0, 5.0), (0.1, 1.0, 10.0), (0.03, 1.0, 30.0)),
    "ageing": (0.0, 0.02, 0.05, 0.1, 0.2, 0.5),
    "tight": (0.0, 0.25, 0.5, 1.0, 2.0, 4.0),
}
_INTERACTIVE, _BATCH = figures.of(Priority.INTERACTIVE), figures.of(Priority.BATCH)
COLUMNS = (
    Column("short jobs: mean", figures.mean(figures.latency(figures.short))),
    Column("p99", figures.percentile(figures.latency(figures.short), 99)),
    Column("long jobs: mean", figures.mean(figures.latency(figures.long))),
    Column("interactive: mean", figures.mean(figures.latency(_INTERACTIVE))),
    Column("p95", figures.percentile(figures.latency(_INTERACTIVE), 95)),
    Column("batch: mean", figures.mean(figures.latency(_BATCH))),
    Column("slowdown", figures.mean(figures.slowdown(_BATCH)), "{:.1f}"),
    Column("longest wait", figures.percentile(figures.wait, 100)),
    Column("missed", figures.mean(figures.missed()), "{:.1%}"),
)


def variants(constant: str) -> Iterator[Policy]:
    """Ours with each of the constant's values, the server's own in bold."""
    for value in VARIED[constant]:
        tuning: Tuning = TUNING._replace(**{constant: value})
        yield ours(tuning, name=f"**{value}**" if tuning == TUNING else str(value))
