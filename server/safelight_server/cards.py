"""What the door and ListModels need to know of a served model: its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .facts import Kind


@dataclass(frozen=True)
class Limits:
    min_edge: int
    max_edge: int
    edge_multiple: int
    max_steps: int = 150
    max_images: int = 16
    max_prompt_tokens: int = 77


@dataclass(frozen=True)
class Card:
    name: str
    kind: Kind
    limits: Limits
    edge: int  # default width and height
    steps: int
    guidance: float
    sampler: str
    samplers: Sequence[str]
    precision: str
    device: str
    has_tiny_decoder: bool
    refiners: tuple[str, ...] = ()
