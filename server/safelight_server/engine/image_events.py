"""What is told of a job and its images: that it has started, and each image with its file, or as it rests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from safelight_server.arrays import Array, Pixels
from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.diffusion.plan import Plan
from safelight_server.events import Image, Rested, Started
from safelight_server.images import files

from . import receipts

RESTED_EDGE, RESTED_QUALITY = 512, 90  # of the picture that tells how one looks that rests


class Drawn(NamedTuple):
    """An image whose steps are over; `early`: after this step, because somebody asked to finish."""

    latents: Array
    done: int
    early: int | None
    model: str  # that took the last step
    seconds: float  # of the last step


def started(plan: Plan, warnings: Sequence[str]) -> Started:
    job = plan.job
    return Started(
        job.model,
        job.size,
        plan.steps,
        job.guidance,
        job.scheduler.name,
        job.seeds,
        job.acceleration,
        tuple(warnings),
    )


def finished(plan: Plan, infos: Sequence[ModelInfo], index: int, drawn: Drawn, picture: Pixels) -> Image:
    """With the file, and in it all that says how it was drawn; takes a moment."""
    job, seed = plan.job, plan.job.seeds[index]
    receipt = receipts.receipt(job, seed, infos, picture, drawn.early)
    data = files.save(picture, job.output, job.recipe | {"seed": seed}, job.model_hash, receipt)
    return Image(index, seed, job.output.format, data, job.size, receipt, drawn.early)


def rested(plan: Plan, index: int, drawn: Drawn, picture: Pixels) -> Rested:
    """How it looks as it is; takes a moment."""
    data, size = files.thumbnail(picture, plan.job.size, RESTED_EDGE, RESTED_QUALITY)
    return Rested(index, drawn.done, plan.steps, plan.job.seeds[index], data, size)
