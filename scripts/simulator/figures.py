"""The results of the jobs in figures: Markdown tables with a row for each policy or setting."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from safelight_server.jobs import Priority

from .lanes import Run
from .traces import Job

UNITS = (
    "Seconds; a slowdown is the mean of latency over the job's seconds alone. Latencies are of the jobs that nothing "
    "ends early, which are the same in every row; `missed` is the share of the deadlines."
)

Wanted = Callable[[Job], bool]
Values = Callable[[Sequence[Run]], Sequence[float]]  # one for each of some jobs
Figure = Callable[[Sequence[Run]], float]  # NaN where there is no such job


class Column(NamedTuple):
    header: str
    figure: Figure
    form: str = "{:.0f}"

    def cell(self, runs: Sequence[Run]) -> str:
        value = self.figure(runs)
        return "-" if math.isnan(value) else self.form.format(value)


def every(job: Job) -> bool:
    return True


def short(job: Job) -> bool:
    return job.short


def long(job: Job) -> bool:
    return not job.short


def of(priority: Priority) -> Wanted:
    return lambda job: job.priority == priority


def latency(wanted: Wanted = every) -> Values:
    """Seconds from arrival to picture."""
    return lambda runs: [_latency(run) for run in _steadfast(runs) if wanted(run.job)]


def slowdown(wanted: Wanted = every) -> Values:
    """Latency over seconds alone."""
    return lambda runs: [_latency(run) / run.job.alone for run in _steadfast(runs) if wanted(run.job)]


def wait(runs: Sequence[Run]) -> list[float]:
    """Seconds of latency beyond the job's own work. Starvation shows here."""
    return [_latency(run) - run.job.alone for run in _steadfast(runs)]


def missed(wanted: Wanted = every) -> Values:
    """1 for a deadline that passed, 0 for one that was met."""
    return lambda runs: [float(not run.finished) for run in runs if run.job.deadline is not None and wanted(run.job)]


def preview(runs: Sequence[Run]) -> list[float]:
    """Seconds from each step to its preview."""
    return [delay for run in runs for delay in run.delays]


def makespan(runs: Sequence[Run]) -> float:
    """Seconds until all is done."""
    return max(run.ended or 0.0 for run in runs)


def _steadfast(runs: Iterable[Run]) -> Iterator[Run]:
    """Runs of jobs without a deadline whose client stays: the same under every policy, so latencies can be compared."""
    return (run for run in runs if run.job.deadline is None and run.job.leaves is None)


def _latency(run: Run) -> float:
    assert run.ended is not None, "a trace is played to its end"
    return run.ended - run.job.arrival


def mean(values: Values) -> Figure:
    return lambda runs: float(np.mean(values(runs) or [np.nan]))


def percentile(values: Values, of_100: float) -> Figure:
    return lambda runs: float(np.percentile(values(runs) or [np.nan], of_100))


def _spread(name: str, wanted: Wanted, *percentiles: int) -> list[Column]:
    rest = [Column("median" if p == 50 else f"p{p}", percentile(latency(wanted), p)) for p in percentiles]
    return [Column(f"{name}: mean", mean(latency(wanted))), *rest]


def _service(priority: Priority) -> list[Column]:
    wanted = of(priority)
    return [
        *_spread(priority.name.lower(), wanted, 50, 95),
        Column("slowdown", mean(slowdown(wanted)), "{:.1f}"),
        Column("missed", mean(missed(wanted)), "{:.1%}"),
    ]


BY_LENGTH = (
    *_spread("short jobs", short, 50, 95, 99),
    *_spread("long jobs", long, 50, 95, 99),
    Column("slowdown", mean(slowdown()), "{:.1f}"),
    Column("longest wait", percentile(wait, 100)),
    Column("makespan", makespan),
    Column("missed", mean(missed()), "{:.1%}"),
)
BY_PRIORITY = (
    *(column for priority in Priority for column in _service(priority)),
    Column("preview p95", percentile(preview, 95), "{:.2f}"),
)


def table(rows: Mapping[str, Sequence[Run]], columns: Sequence[Column], corner: str = "") -> str:
    """The table in Markdown; seconds have no unit."""
    head = f"| {corner} | {' | '.join(column.header for column in columns)} |\n|---|{'---|' * len(columns)}\n"
    lines = (f"| {name} | {' | '.join(column.cell(runs) for column in columns)} |" for name, runs in rows.items())
    return head + "\n".join(lines)
