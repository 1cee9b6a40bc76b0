"""Row 7: from cancelling a job in the middle of a step until the lane is free for the next one."""

from __future__ import annotations

import random
from collections.abc import Iterator

from safelight import Previews

from benchmark.cases import PROBE, Case
from benchmark.figures import Figure, Goal, summaries
from benchmark.peers import worker
from benchmark.rounds import interleave
from benchmark.session import Session
from benchmark.summary import median, percentile, summary

TRIALS = 30
GOAL = Goal(0.05)


def measure(session: Session, case: Case) -> Iterator[Figure]:
    """The lane is free when the next job's first step begins: at the event of its end, less its known length."""
    step = _step(session, case)
    phases = random.Random(7)
    ours = interleave(
        {
            "idle": lambda n: session.ours.first_step(PROBE),
            "cancelled": lambda n: session.ours.first_step(PROBE, (case.heavy, phases.random() * step)),
        },
        TRIALS,
        f"row 7, {case.name}",
    )
    idle = median(ours["idle"])
    free = [max(0.0, seconds - idle) for seconds in ours["cancelled"]]
    stops = interleave(
        {
            "genai": lambda n: session.peer("genai")(worker.stop, case.heavy, step, phases.random()),
            "optimum": lambda n: session.peer("optimum")(worker.stop, case.heavy, step, phases.random()),
        },
        min(case.rounds, 3),
        f"row 7, {case.name}, peers",
    )
    late = {peer: percentile(seconds, 0.95) / step for peer, seconds in stops.items()}
    yield Figure(
        7,
        "p95",
        case.name,
        unit="step",
        value=percentile(free, 0.95) / step,
        goal=GOAL,
        samples={"safelight": summary(free), **summaries(stops)},
        note=f"a step of {case.heavy} takes {step:.3f} s; p95 of stopping "
        + ", ".join(f"{peer}: {share:.2f} steps" for peer, share in late.items()),
    )


def _step(session: Session, case: Case) -> float:
    """Seconds of a step when nothing else runs, of the second run: the first of a new size takes longer."""
    for number in range(2):
        watched = session.ours.watch(case.heavy.numbered(number), Previews(every=0))
    return median(watched.steps)
