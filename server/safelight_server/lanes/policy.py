"""Which of the ready steps a lane runs next: a pure function, tuned by simulation (docs/benchmarks/lanes.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from safelight_server.jobs import Priority


class Ready(NamedTuple):
    """What the policy knows of a step that could run now."""

    priority: Priority
    remaining: float  # seconds of work left in the job, this step included
    waited: float  # seconds since the job came, less those in which one of its steps ran
    slack: float | None  # seconds until its deadline, less `remaining`; None: no deadline
    order: int  # of arrival, for ties
    caller: object = None  # who asked for it; jobs of None stand each for itself
    unserved: float = math.inf  # seconds since another job of its caller was served


class Tuning(NamedTuple):
    weight: tuple[float, float, float]  # of a second of remaining work, by priority
    ageing: float  # what a second of waiting takes off the weighted work
    tight: float  # share of the remaining work: with no more slack than that, a deadline is in danger


# Ageing is below every weight: else a job that runs would, step by step, fall behind those that it has overtaken.
TUNING = Tuning(weight=(0.2, 1.0, 5.0), ageing=0.05, tight=1.0)

Urgency = tuple[int, float, int]

_TIGHT, _USUAL, _HOPELESS = range(3)


def urgency(ready: Ready, tuning: Tuning = TUNING) -> Urgency:
    """A key for sorting: the least goes first.

    Jobs whose deadline is in danger go first, the earliest deadline before the rest (Jackson's rule, 1955). Of the
    usual jobs, the one with the least weighted remaining work goes first (Smith's rule, 1956), less what its waiting
    has earned: so a job is overtaken only by tight deadlines, and by jobs that come within its weight * remaining /
    ageing seconds. A job that cannot be done in time goes last: its client will be told DEADLINE_EXCEEDED. It is not
    refused here, for the estimate of its work may be wrong.
    """
    if ready.slack is not None and 0 <= ready.slack <= tuning.tight * ready.remaining:
        return _TIGHT, ready.slack + ready.remaining, ready.order
    group = _HOPELESS if ready.slack is not None and ready.slack < 0 else _USUAL
    weighted = tuning.weight[ready.priority] * ready.remaining
    return group, weighted - tuning.ageing * ready.waited, ready.order


def choose(ready: Sequence[Ready], tuning: Tuning = TUNING) -> int:
    """Index of the step that goes next; `ready` is not empty."""
    return min(range(len(ready)), key=rank(ready, tuning).__getitem__)


def rank(ready: Sequence[Ready], tuning: Tuning = TUNING) -> list[Urgency]:
    """The key of each, once all callers' jobs stand in their lines: the least goes first."""
    return [urgency(one, tuning) for one in line_up(ready, tuning)]


def line_up(ready: Sequence[Ready], tuning: Tuning = TUNING) -> list[Ready]:
    """Each caller's jobs stand in one line: a job counts the work before it as its own, and earns nothing by waiting.

    So all callers get on equally, however many jobs one of them has; and with one job each, nothing changes. In the
    line, a job is the sooner first the longer it has waited. The first one has waited, for the other callers, no longer
    than since another of its line was served: or each job of a caller with many would come to its turn with all the
    seconds in which the others ran.
    """
    lined, ahead = list(ready), dict[object, float]()
    for i in sorted(range(len(ready)), key=lambda i: urgency(ready[i], tuning)):
        one = ready[i]
        if one.caller in ahead:
            late = one.slack if one.slack is not None and one.slack < 0 else None
            lined[i] = one._replace(remaining=one.remaining + ahead[one.caller], waited=0.0, slack=late)
        elif one.unserved < one.waited:
            lined[i] = one._replace(waited=one.unserved)
        if one.caller is not None:
            ahead[one.caller] = ahead.get(one.caller, 0.0) + one.remaining
    return lined
