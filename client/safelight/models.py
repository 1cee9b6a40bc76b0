"""The models of a server, their limits and their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .v1 import images_pb2 as pb
from .wire import read

MODEL_STATES = {
    pb.MODEL_STATE_LOADED: "loaded",
    pb.MODEL_STATE_LOADING: "loading",
    pb.MODEL_STATE_UNLOADED: "unloaded",
    pb.MODEL_STATE_FAILED: "failed",
}
MODEL_KINDS = {pb.MODEL_KIND_BASE: "base", pb.MODEL_KIND_REFINER: "refiner", pb.MODEL_KIND_INPAINT: "inpaint"}


@dataclass(frozen=True)
class Limits:
    """The most that a model can be asked for; edges are in pixels."""

    min_edge: int
    max_edge: int
    edge_multiple: int  # width and height are multiples of this
    max_steps: int
    max_images: int
    max_prompt_tokens: int


@dataclass(frozen=True)
class Defaults:
    """The values that a model takes for arguments that are left out."""

    width: int
    height: int
    steps: int
    guidance_scale: float
    scheduler: str


@dataclass(frozen=True)
class Model:
    """A model that the server serves."""

    name: str
    kind: str  # "base", "refiner", "inpaint", or "unknown" for one that is newer than this client
    limits: Limits
    defaults: Defaults
    schedulers: tuple[str, ...]
    precision: str  # as the device runs the UNet: "f32", "bf16", "f16"
    device: str  # "CPU", "GPU.0", ...
    has_tiny_decoder: bool  # so that previews are sharper
    refiners: tuple[str, ...]  # names of models that may take over from this one
    has_deep_cache: bool  # Acceleration.deep_cache_interval is possible
    state: str = "loaded"  # or "loading", "unloaded" (the next request loads it), "failed"
    memory_bytes: int = 0  # what it added to the server's memory; 0 while it is not loaded
    precisions: Mapping[str, str] = field(default_factory=dict)  # of each part: "unet", "vae_decoder", ...


def models_from(response: pb.ListModelsResponse) -> list[Model]:
    """The models in the answer of a ListModels; the first is the server's default."""
    return [model_from(model) for model in response.models]


def model_from(model: pb.Model) -> Model:
    """One model. A server that does not tell how it stands has it loaded."""
    return read(
        Model,
        model,
        kind=MODEL_KINDS.get(model.kind, "unknown"),
        limits=read(Limits, model.limits),
        defaults=read(Defaults, model.defaults),
        state=MODEL_STATES.get(model.state, "loaded"),
        precisions=dict(model.precisions),
    )
