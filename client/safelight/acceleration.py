"""Less work for nearly the same picture: what a caller asks for, and what the server did."""

from __future__ import annotations

from dataclasses import dataclass

from .v1 import images_pb2 as pb
from .wire import read


@dataclass(frozen=True)
class Acceleration:
    """Ways to save work that change the picture a little; a way that is left out is not taken."""

    deep_cache_interval: int | None = None  # the whole UNet at every so many steps; pays from some 8 steps on
    guidance_until: float | None = None  # 0 to 1: the share of the steps that is guided; the others cost half
    tiny_decoder: bool | None = None  # the finished picture by the tiny decoder: softer, many times faster


def acceleration_from(message: pb.Started | pb.GenerateResponse | pb.RefineResponse) -> Acceleration | None:
    """The ways that the server took; None for exact pictures."""
    return read(Acceleration, message.acceleration) if message.HasField("acceleration") else None
