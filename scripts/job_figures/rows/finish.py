"""FinishJob at a random moment: how long until the picture is there, in steps beside the decoding."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

from abusing.finding import Effort, Finding, at_least, at_most, number, percentile
from safelight.v1 import jobs_pb2 as pb

from job_figures.asking import attach, seconds, submit
from job_figures.serving import Connection, place

FIELDS = {"model": "demo-xl", "width": 512, "height": 512, "steps": 60}


def measure(effort: Effort) -> Iterator[Finding]:
    chance = random.Random(3)
    with place() as here, here.serve() as (_, connection):
        _finished(connection, 0, 1, 0.0)  # what is done once for a size
        told = [
            _finished(connection, lot, chance.randint(2, 8), chance.random()) for lot in range(1, effort.pick(31, 3))
        ]
    steps = [step for _, _, step, _ in told]
    yield at_least("a step, median", 1000 * percentile(steps, 0.5), 100, " ms", control=True)
    yield at_most("jobs that did not end early", sum(not early for *_, early in told), 0, control=True)
    over = [(took - decode) / step for took, decode, step, _ in told]
    whole = [took / (step + decode) for took, decode, step, _ in told]
    yield at_most(
        f"from the call to the picture less the decoding, in steps; median of {len(told)}", percentile(over, 0.5), 1
    )
    yield at_most(f"the same, p95 (the most {number(max(over))})", percentile(over, 0.95), 1)
    yield at_most("from the call to the picture, over a step and the decoding; p95", percentile(whole, 0.95), 1)


def _finished(connection: Connection, seed: int, step: int, part: float) -> tuple[float, float, float, bool]:
    """Of a job that is told to finish within a step: seconds until the picture, its decoding, a step; whether early."""
    job_id = submit(connection, {**FIELDS, "seed": seed})
    called, took, decode, early, times = 0.0, 0.0, 0.0, False, [0.1]
    timer: threading.Timer | None = None

    def finish() -> None:
        nonlocal called
        called = time.monotonic()
        connection.jobs.FinishJob(pb.FinishJobRequest(job_id=job_id))

    for told in attach(connection, job_id):
        if told.HasField("progress"):
            times.append(seconds(told.progress.step_time))
            if told.progress.step >= step and timer is None:
                timer = threading.Timer(part * times[-1], finish)
                timer.start()
        if told.HasField("image"):
            took, early = time.monotonic() - called, told.image.HasField("finished_early_at_step")
        if told.HasField("done"):
            decode = seconds(told.done.timings.decode)
    return took, decode, percentile(times[1:], 0.5), early
