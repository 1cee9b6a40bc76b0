"""How long a job will take and what memory it needs, by what was measured here: no work is done for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from safelight_server.diffusion.plan import Plan
from safelight_server.errors import MemoryShort, ModelUnloaded
from safelight_server.lanes.buffers import resident

from .drawings import Drawing
from .engine import Engine
from .memory import check, peak_of

LOW, HIGH = 0.05, 0.95  # of the jobs are below, or not above
LEAST_KNOWN = 8  # jobs: with fewer, the spread is a guess
GUESS = (0.8, 1.0, 2.0)  # times what is foreseen


class Spread(NamedTuple):
    """Seconds. Nine of ten jobs lie between low and high."""

    low: float
    likely: float
    high: float


class Estimate(NamedTuple):
    wait: Spread
    work: Spread
    total: Spread
    peak_bytes: int  # of the process
    fits: bool
    is_known: bool  # not a guess


def estimate(engine: Engine, plan: Plan, caller: object = None) -> Estimate:
    """What a new job would take now. Raises ModelUnloaded."""
    if missing := [name for name in plan.models if name not in engine.models]:
        raise ModelUnloaded(missing[0])
    runner = engine.prepare(plan, b"", caller=caller).runner
    wait, work = engine.admission.foresee(runner)
    more = peak_of(engine.models, plan)
    return Estimate(
        _spread(engine, wait, False),
        _spread(engine, work, True),
        _spread(engine, wait + work, not wait),
        resident() + more,
        _fits(engine, plan),
        runner.knows_its_times,
    )


def _fits(engine: Engine, plan: Plan) -> bool:
    try:
        check(engine.models, plan)
    except MemoryShort:
        return False
    return True


def eta(engine: Engine, drawing: Drawing) -> Spread:
    """Until a drawing that goes on is done."""
    wait, work = engine.admission.foresee(drawing.runner)
    return _spread(engine, wait + work, not wait)


def _spread(engine: Engine, seconds: float, alone: bool) -> Spread:
    ratios = engine.admission.ratios(alone)
    times = GUESS if len(ratios) < LEAST_KNOWN else tuple(_quantile(ratios, share) for share in (LOW, 0.5, HIGH))
    return Spread(*(time * seconds for time in times))


def _quantile(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, round(share * (len(values) - 1)))]
