"""What a model that is served can be asked for: its limits, and what it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from safelight_server.model_folder.model_config import ModelConfig

from .prompt_tokenizer import PromptTokenizer


@dataclass(frozen=True)
class Limits:
    """Of a request. Edges are width and height in pixels, each a multiple of `edge_multiple`."""

    min_edge: int
    max_edge: int
    edge_multiple: int
    max_prompt_tokens: int
    max_steps: int = 150
    max_images: int = 16
    max_chunks: int = 8  # of a weighted prompt

    @property
    def small_edge(self) -> int:
        """Of a picture that is drawn to learn something, not to be looked at."""
        return max(self.min_edge, 64)


@dataclass(frozen=True)
class ModelInfo:
    """`precision` is of the UNet's arithmetic: "f32", "bf16" or "f16"; `precisions` of each part's.

    `device` is as OpenVINO names it.

    What its pictures hang on beside the request: `identity` says which files these are, and how they are compiled;
    `surgery` what was changed in their graphs before; `runtime` is OpenVINO's version, `processor` what the arithmetic
    is done by.
    """

    name: str
    config: ModelConfig
    limits: Limits
    precision: str
    device: str
    has_deep_cache: bool = False
    refiners: tuple[str, ...] = ()  # models that can take this one's latents over
    tokenizer: PromptTokenizer | None = None  # which counts the tokens of weighted prompts; without it none is taken
    identity: str = ""
    surgery: str = ""
    runtime: str = ""
    processor: str = ""
    precisions: Mapping[str, str] = field(default_factory=dict)

    @property
    def seal(self) -> str:
        """Of the folder; empty where it has none."""
        return self.config.manifest.seal
