"""What a job's acceleration means for a step: whether it is guided, and whether the whole UNet runs."""

from __future__ import annotations

from safelight_server.jobs import Job
from safelight_server.models import deepcache

from .plan import Segment


def guided(job: Job, segment: Segment, step: int) -> bool:
    """Guidance works on the noisy steps, where the picture is laid out; the last ones hardly show it."""
    return step < job.acceleration.guided * len(segment.schedule)


def refreshes(job: Job, segment: Segment, step: int) -> bool:
    """The first step of a leg always does: what another model's layers said is of no use to this one's."""
    return deepcache.refreshes(step - segment.first, job.acceleration.deep_cache)
