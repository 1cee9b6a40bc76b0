"""What the door and ListModels need to know of a served model: its card."""

from __future__ import annotations

from dataclasses import dataclass

from safelight_server.model_folder.model_config import ModelConfig


@dataclass(frozen=True)
class Limits:
    min_edge: int
    max_edge: int
    edge_multiple: int
    max_prompt_tokens: int
    max_steps: int = 150
    max_images: int = 16


@dataclass(frozen=True)
class ModelInfo:
    name: str
    config: ModelConfig
    limits: Limits
    precision: str
    device: str
    has_deep_cache: bool = False
    refiners: tuple[str, ...] = ()  # models that can take this one's latents over
