"""The policies to compare: two ways of calling pipelines without a scheduler, two textbook ones, and ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from safelight_server.lanes import policy
from safelight_server.lanes.policy import TUNING, Ready, Tuning

from .lanes import Gains, Lane, SharedLane, StepLane, Task


class Policy(NamedTuple):
    name: str
    lane: Callable[[], Lane]
    inline: bool = False  # previews are drawn in the job's own time, in a callback


def first_come(waiting: Sequence[Task], now: float) -> int:
    """The job that came to the lane first keeps it, as with a lock around the pipeline."""
    return min(range(len(waiting)), key=lambda i: waiting[i].entered)


def round_robin(waiting: Sequence[Task], now: float) -> int:
    """The job whose last step is longest ago, as with a fair lock around the device."""
    return min(range(len(waiting)), key=lambda i: waiting[i].order)


def shortest_first(waiting: Sequence[Task], now: float) -> int:
    """Shortest remaining processing time, at the steps' boundaries."""
    return min(range(len(waiting)), key=lambda i: (_remaining(waiting[i]), waiting[i].order))


def safelight(waiting: Sequence[Task], now: float, tuning: Tuning = TUNING) -> int:
    """The server's own function, on the same facts as its lanes give it."""
    return policy.choose([ready(task, now) for task in waiting], tuning)


def ready(task: Task, now: float) -> Ready:
    job, remaining = task.run.job, _remaining(task)
    waited = now - (task.since if task.preview else job.arrival + task.run.served)
    slack = None if job.deadline is None else job.deadline - now - remaining
    return Ready(job.priority, remaining, waited, slack, job.order)


def _remaining(task: Task) -> float:
    """Estimated seconds; a preview is a small job of its own."""
    return task.step.preview if task.preview else task.run.rest[task.run.at]


def ours(tuning: Tuning = TUNING, gains: Gains | None = None, name: str = "Safelight") -> Policy:
    return Policy(name, partial(StepLane, partial(safelight, tuning=tuning), gains or {}))


def to_compare(gains: Gains) -> list[Policy]:
    """The rows of the table. With `gains`, a last one in which steps are joined."""
    rows = [
        Policy("whole jobs in turn (a lock)", partial(StepLane, first_come, {}), inline=True),
        Policy("processor sharing (threads)", SharedLane, inline=True),
        Policy("round robin by step", partial(StepLane, round_robin, {})),
        Policy("shortest remaining first", partial(StepLane, shortest_first, {})),
        ours(),
    ]
    return [*rows, ours(gains=gains, name="Safelight, joined")] if gains else rows
