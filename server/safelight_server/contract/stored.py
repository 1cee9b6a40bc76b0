"""A request as it is stored, so that the same job can be made of it again; and the digests of what it uploads."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

from safelight.v1 import images_pb2 as pb

from safelight_server.jobs import Job

Request = pb.GenerateRequest | pb.RefineRequest
UPLOADS = {"image": "imageSha256", "mask": "maskSha256"}  # fields, and their digests' names in a receipt's JSON


def pack(request: Request, job: Job) -> bytes:
    """The bytes of a request; what is drawn by lot is written in."""
    filled = copy.deepcopy(request)
    filled.model, filled.seed = job.model, job.seeds[0]
    return pb.StreamRequest(**{job.method: filled}).SerializeToString()  # type: ignore[arg-type]


def unpack(data: bytes) -> Request:
    stored = pb.StreamRequest.FromString(data)
    request: Request = getattr(stored, stored.WhichOneof("request") or "generate")
    return request


def digest(request: Any) -> bytes:
    """Equal for equal requests."""
    found = hashlib.sha256(request.DESCRIPTOR.full_name.encode())
    found.update(request.SerializeToString(deterministic=True))
    return found.digest()


def uploads(request: Request) -> Mapping[str, str]:
    """SHA-256 of the files that a Refine starts from, in hexadecimal digits."""
    if not isinstance(request, pb.RefineRequest):
        return {}
    files = {told: getattr(request, field) for field, told in UPLOADS.items()}
    return {told: hashlib.sha256(file).hexdigest() for told, file in files.items() if file}
