"""Requests that many tests make, and how their answers are read."""

from __future__ import annotations

from typing import Any

from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub

JOB: dict[str, Any] = {"model": "base", "prompt": "a red apple", "steps": 5, "seed": 11, "width": 96, "height": 64}
LONG: dict[str, Any] = {**JOB, "width": 1024, "height": 1024, "steps": 150, "num_images": 16}  # minutes


def generate(stub: ImageServiceStub, timeout: float | None = None, **fields: Any) -> bytes:
    return stub.Generate(pb.GenerateRequest(**{**JOB, **fields}), timeout=timeout).images[0].data


def stream(stub: ImageServiceStub, preview: Any = None, **fields: Any) -> Any:
    return stub.Stream(pb.StreamRequest(generate=pb.GenerateRequest(**{**JOB, **fields}), preview=preview))


def events(stub: ImageServiceStub, preview: Any = None, **fields: Any) -> list[pb.StreamResponse]:
    return list(stream(stub, preview, **fields))


def kinds(told: list[pb.StreamResponse]) -> list[str]:
    return [str(response.WhichOneof("event")) for response in told]
