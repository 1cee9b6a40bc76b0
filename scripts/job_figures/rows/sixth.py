"""Eight seeds drawn to a sixth, two of them finished by Fork, against eight whole ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from abusing.finding import Effort, Finding, at_most, percentile
from safelight.v1 import jobs_pb2 as pb

from job_figures.asking import attach, draw, drawn, submit
from job_figures.serving import Connection, place

STEPS, SIXTH, SEEDS = 30, 5, 8
FINISHED = (2, 5)  # of the eight
FIELDS: dict[str, Any] = {"model": "demo-xl", "steps": STEPS, "width": 128, "height": 128, "num_images": SEEDS}


def measure(effort: Effort) -> Iterator[Finding]:
    other, ratios = 0, []
    with place() as here, here.serve() as (_, connection):
        _sixth(connection, 1000)
        for lot in range(effort.pick(5, 1)):
            seed, whole_first = 100 * lot, lot % 2 == 0
            if whole_first:
                (whole, all_of), (part, two) = _whole(connection, seed), _sixth(connection, seed)
            else:
                (part, two), (whole, all_of) = _sixth(connection, seed), _whole(connection, seed)
            ratios.append(part / whole)
            other += two != [all_of[place] for place in FINISHED]
    told = ", ".join(f"{ratio:.3f}" for ratio in sorted(ratios))
    yield at_most(f"time of the two ways, in turns, median (of {told})", percentile(ratios, 0.5), 0.45)
    yield at_most("pairs of pictures that are not those of the whole ones", other, 0, control=True)


def _whole(connection: Connection, seed: int) -> tuple[float, list[str]]:
    began = time.monotonic()
    pictures = draw(connection, {**FIELDS, "seed": seed})
    return time.monotonic() - began, pictures


def _sixth(connection: Connection, seed: int) -> tuple[float, list[str]]:
    began = time.monotonic()
    resting = submit(connection, {**FIELDS, "seed": seed, "stop_at_step": SIXTH})
    for _ in attach(connection, resting):
        pass
    forks = [connection.jobs.Fork(pb.ForkRequest(job_id=resting, image_index=place)).job.id for place in FINISHED]
    pictures = [picture for job_id in forks for picture in drawn(connection, job_id)]
    return time.monotonic() - began, pictures
