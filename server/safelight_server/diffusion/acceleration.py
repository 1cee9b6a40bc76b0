"""What a job's acceleration means for a step: whether it is guided, and whether the whole UNet runs."""

from __future__ import annotations

from safelight_server.jobs import Job
from safelight_server.models import deepcache

from .plan import Leg


def guided(job: Job, leg: Leg, step: int) -> bool:
    """Guidance works on the noisy steps, where the picture is laid out; the last ones hardly show it."""
    return step < job.acceleration.guided * len(leg.schedule)


def refreshes(job: Job, leg: Leg, step: int) -> bool:
    """The first step of a leg always does: what another model's layers said is of no use to this one's."""
    return deepcache.refreshes(step - leg.first, job.acceleration.deep_cache)
