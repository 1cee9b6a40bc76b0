"""A mixed load that comes at random: what Estimate says just before each Submit, and what becomes true."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from abusing.finding import Effort, Finding, at_least, at_most, percentile
from safelight.v1 import jobs_pb2 as pb

from job_figures.asking import draw, seconds, submitted
from job_figures.serving import Connection, connect, place

MODELS = ("base", "vega_lcm")
EDGES = (64, 128, 192, 256)
STEPS = (4, 8, 12, 20)
LOAD = 0.5  # of what the server can do
CALLERS = 4


class Told(NamedTuple):
    """What was said of a job, and the job."""

    low: float
    likely: float
    high: float
    wait: float
    job_id: str


def measure(effort: Effort) -> Iterator[Finding]:
    chance, count = random.Random(2), effort.pick(200, 15)
    with place(*MODELS) as here, here.serve() as (server, connection):
        for model in MODELS:
            for edge in EDGES:
                draw(connection, {"model": model, "width": edge, "height": edge, "steps": 4})
        callers = [connect(server.address) for _ in range(CALLERS)]
        began, alone = time.monotonic(), 0.0
        for seed in range(8):
            draw(connection, _fields(chance, seed))
        alone = (time.monotonic() - began) / 8  # seconds of a job
        asked = []
        for seed in range(count):
            time.sleep(chance.expovariate(LOAD / alone))
            asked.append(_ask(chance.choice(callers), _fields(chance, seed)))
        true = {told.job_id: _true(connection, told.job_id) for told in asked}
    within = sum(told.low <= true[told.job_id] <= told.high for told in asked)
    errors = [abs(told.likely / true[told.job_id] - 1) for told in asked]
    waited = sum(told.wait > 0.01 for told in asked)
    width = percentile([told.high / max(told.low, 1e-9) for told in asked], 0.5)
    yield at_least(f"jobs of {count} before which others were", waited, count // 10, control=True)
    yield at_least(f"within the interval (whose high is {width:.2g} times its low)", 100 * within / count, 85, " %")
    yield at_most("error of what is likely, median", 100 * percentile(errors, 0.5), 10, " %")
    for name, waits in (("came alone", False), ("had to wait", True)):
        ratios = [true[told.job_id] / told.likely for told in asked if (told.wait > 0.01) == waits]
        low, middle, high = (percentile(ratios, share) for share in (0.1, 0.5, 0.9))
        yield Finding(f"true over likely, of jobs that {name}", f"{low:.2f}, {middle:.2f}, {high:.2f}", "told", True)


def _fields(chance: random.Random, seed: int) -> dict[str, Any]:
    edge = chance.choice(EDGES)
    fields = {"model": chance.choice(MODELS), "width": edge, "height": edge, "steps": chance.choice(STEPS)}
    return {**fields, "seed": 100 + seed}


def _ask(connection: Connection, fields: dict[str, Any]) -> Told:
    request = submitted(fields)
    found = connection.jobs.Estimate(pb.EstimateRequest(generate=request.generate))
    job_id = connection.jobs.Submit(request).job.id
    total = found.total
    return Told(seconds(total.low), seconds(total.likely), seconds(total.high), seconds(found.wait.likely), job_id)


def _true(connection: Connection, job_id: str) -> float:
    """Seconds from its beginning to its end."""
    while not (job := connection.jobs.GetJob(pb.GetJobRequest(job_id=job_id)).job).HasField("end_time"):
        time.sleep(0.1)
    return float((job.end_time.ToDatetime() - job.create_time.ToDatetime()).total_seconds())
