"""The jobs of every kind that rows ask for, how one is handed in, and the pixels that come of it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import Any

from PIL import Image
from safelight.v1 import images_pb2 as images
from safelight.v1 import jobs_pb2 as pb
from support.pictures import mask, picture

from .serving import ALL, Connection

USUAL: dict[str, Any] = {"model": "base", "prompt": "a red apple", "seed": 11, "steps": 40, "width": 192, "height": 192}
MASKED: dict[str, Any] = {"image": picture(), "mask": mask(), "strength": 0.9}
HANDOFF: dict[str, Any] = {"refiner": images.RefinerStage(model="refiner", handoff=0.6)}
KINDS: dict[str, dict[str, Any]] = {
    "base": {"scheduler": "euler"},
    "ancestral": {"scheduler": "euler_ancestral"},
    "multistep": {"scheduler": "dpmpp_2m_karras"},
    "several images": {"scheduler": "unipc", "num_images": 3, "steps": 15},
    "deep cache": {"acceleration": images.Acceleration(deep_cache_interval=3)},
    "handoff": HANDOFF,
    "mask": MASKED,
    "noise and two images": {"scheduler": "dpmpp_2m_sde", "num_images": 2, "steps": 20},
}
LASTING = ("started", "image", "rested", "resumed", "done")


def request(fields: Mapping[str, Any]) -> images.GenerateRequest | images.RefineRequest:
    asked = {**USUAL, **fields}
    return images.RefineRequest(**asked) if "image" in asked else images.GenerateRequest(**asked)


def submitted(fields: Mapping[str, Any]) -> pb.SubmitRequest:
    asked = request(fields)
    refines = isinstance(asked, images.RefineRequest)
    return pb.SubmitRequest(refine=asked) if refines else pb.SubmitRequest(generate=asked)  # type: ignore[arg-type]


def submit(connection: Connection, fields: Mapping[str, Any]) -> str:
    """The job's id."""
    return connection.jobs.Submit(submitted(fields)).job.id


def attach(connection: Connection, job_id: str, after: int = 0, previews: int = 0) -> Any:
    """The events of a job after a number; an iterator that can be cancelled. `previews`: one each so many steps."""
    asked = pb.AttachRequest(
        job_id=job_id, after_sequence=after, preview=images.PreviewOptions(every_steps=previews, max_edge=64)
    )
    return connection.jobs.Attach(asked, metadata=ALL)


def drawn(connection: Connection, job_id: str) -> list[str]:
    """Waits for a job; digests of the pixels of its pictures."""
    return [pixels(told.image.data) for told in attach(connection, job_id) if told.HasField("image")]


def draw(connection: Connection, fields: Mapping[str, Any]) -> list[str]:
    return drawn(connection, submit(connection, fields))


def pixels(file: bytes) -> str:
    found = Image.open(io.BytesIO(file)).convert("RGB")
    return hashlib.sha256(repr(found.size).encode() + found.tobytes()).hexdigest()


def seconds(duration: Any) -> float:
    return float(duration.ToTimedelta().total_seconds())
