"""Jobs that rest at a random step, and go on by a fork that changes nothing: the bits of those that did not rest."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from abusing.finding import Effort, Finding, at_least, at_most
from safelight.v1 import images_pb2 as images
from safelight.v1 import jobs_pb2 as pb

from job_figures.asking import HANDOFF, MASKED, attach, draw, drawn, submit
from job_figures.serving import Connection, place

WAYS: dict[str, dict[str, Any]] = {"plain": {}, "mask": MASKED, "handoff": HANDOFF}
STEPS = 8
SMALL: dict[str, Any] = {"steps": STEPS, "width": 64, "height": 64}


def measure(effort: Effort) -> Iterator[Finding]:
    chance = random.Random(5)
    with place("base", "refiner") as here, here.serve() as (_, connection):
        model = connection.images.ListModels(images.ListModelsRequest()).models[0]
        schedulers = effort.pick(list(model.schedulers), chance.sample(list(model.schedulers), 4))
        seen: set[str] = set()
        for way, fields in WAYS.items():
            other = []
            for scheduler in schedulers:
                asked = {**fields, **SMALL, "scheduler": scheduler}
                whole, forked = draw(connection, asked), _forked(connection, asked, chance)
                seen |= set(whole)
                other += [scheduler] * (whole != forked)
            name = f"{way}: schedulers whose fork is not bit-equal, of {len(schedulers)}: {', '.join(other) or 'none'}"
            yield at_most(name, len(other), 0)
        yield at_least("different pictures among those compared with", len(seen), len(schedulers), control=True)
        changed = _forked(connection, SMALL, chance, pb.ForkChanges(prompt="a blue plum"))
    same = len(seen & set(changed))
    yield at_most("pictures of these that a fork with another prompt gives", same, 0, control=True)


def _forked(
    connection: Connection, asked: dict[str, Any], chance: random.Random, changes: pb.ForkChanges | None = None
) -> list[str]:
    """The pixels of a job that rests after a random step and is forked there."""
    steps = STEPS - 2 * ("image" in asked)  # strength takes some
    resting = submit(connection, {**asked, "stop_at_step": chance.randrange(1, steps)})
    for _ in attach(connection, resting):
        pass
    return drawn(connection, connection.jobs.Fork(pb.ForkRequest(job_id=resting, changes=changes)).job.id)
