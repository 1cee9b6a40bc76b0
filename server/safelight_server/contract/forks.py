"""What a fork asks for: the request of the other job with some fields changed, of one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from safelight.v1 import jobs_pb2 as pb

from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.diffusion.plan import Plan
from safelight_server.errors import InvalidRequest, Violation
from safelight_server.jobs import Job

from . import requests, stored

CHANGES: Sequence[Any] = ("prompt", "negative_prompt", "guidance_scale", "seed", "model", "scheduler")


class Fork:
    """A fork that is asked for, and the request of the new job, once the other one's is known."""

    def __init__(self, request: pb.ForkRequest) -> None:
        self._fork = request
        self._asked: stored.Request | None = None

    def plan_from(self, parent: bytes, infos: Mapping[str, ModelInfo], job_id: str) -> Plan:
        """The plan of the new job; `parent` is the stored request of the other one. Raises as for a new request."""
        fork, asked = self._fork, stored.unpack(parent)
        count = asked.num_images if asked.HasField("num_images") else 1
        if fork.image_index >= count:
            rule = f"must be below {count}, the number of the job's pictures, not {fork.image_index}"
            raise InvalidRequest([Violation("image_index", rule)])
        asked.seed, asked.num_images = (asked.seed + fork.image_index) % 2**32, 1
        for field in requests.TERMS:
            asked.ClearField(field)
        for field in CHANGES:
            if fork.changes.HasField(field):
                setattr(asked, field, getattr(fork.changes, field))
        if fork.changes.HasField("prompt"):
            asked.ClearField("prompt_2")
        if fork.HasField("stop_at_step"):
            asked.stop_at_step = fork.stop_at_step
        self._asked = asked
        return requests.plan_from(asked, infos, job_id, "changes.")

    def pack(self, job: Job) -> bytes:
        """The request of the new job, as it is stored."""
        assert self._asked is not None, "the plan is made before the job is stored"
        return stored.pack(self._asked, job)
