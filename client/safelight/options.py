"""Arguments that have several parts, a frozen dataclass for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .pictures import Format

Priority = Literal["interactive", "normal", "batch"]
PromptSyntax = Literal["literal", "weighted"]
OnDisconnect = Literal["cancel", "grace", "keep"]


@dataclass(frozen=True)
class Refiner:
    """A second model that takes the latents over on the way."""

    model: str
    handoff: float | None = None  # 0 to 1: the share of the noise that the first model takes away; server default 0.8


@dataclass(frozen=True)
class Output:
    """The file that the server makes of a picture."""

    format: Format = "png"
    quality: int | None = None  # 1 to 100, for JPEG and WebP; server default 90


@dataclass(frozen=True)
class SchedulerOptions:
    """Changes to the scheduler's configuration in the model."""

    use_karras_sigmas: bool | None = None
    timestep_spacing: Literal["leading", "trailing", "linspace"] | None = None
    eta: float | None = None  # DDIM's noise, 0 (none) to 1


@dataclass(frozen=True)
class SizeConditioning:
    """The size and crop that SDXL is conditioned on: sizes are (width, height), crops (x, y), in pixels."""

    original: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    target: tuple[int, int] | None = None
    negative_original: tuple[int, int] | None = None
    negative_crop: tuple[int, int] | None = None
    negative_target: tuple[int, int] | None = None
    aesthetic_score: float | None = None
    negative_aesthetic_score: float | None = None


@dataclass(frozen=True)
class Previews:
    """Which previews a stream brings."""

    every: int | None = None  # one every so many steps; 0: none; server default 1
    min_interval: float | None = None  # seconds: at most one in this time
    max_edge: int | None = None  # the longer edge in pixels, 16 to 1024; server default 256
    quality: int | None = None  # of the JPEG, 1 to 100; server default 80
    decoder: Literal["linear", "tiny"] | None = None  # server default: tiny where the model has it
