"""Gives the weights of one part of a single file the names that diffusers knows them by, with its own tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any

from diffusers.loaders import single_file_utils as tables

from .kinds import CLIP, FIRST, OPEN_CLIP, SECOND, UNET, VAE


def prefixes(part: str, names: Collection[str]) -> tuple[str, ...]:
    """How the names of a part begin, in a file of these names. A refiner's one text encoder comes first in it."""
    second = SECOND if any(name.startswith(f"{SECOND}{OPEN_CLIP}") for name in names) else FIRST
    starts = {"unet": (UNET,), "vae": VAE, "text_encoder": (f"{FIRST}{CLIP}",)}
    return starts.get(part, (f"{second}{OPEN_CLIP}",))


def to_diffusers(part: str, weights: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of a part as diffusers names them. `config`: its config.json. They may be on torch's device meta.

    Raises LookupError or TypeError for weights that lack something.
    """
    if part == "unet":
        converted = tables.convert_ldm_unet_checkpoint(dict(weights), dict(config))
    elif part == "vae":
        converted = tables.convert_ldm_vae_checkpoint(dict(weights), dict(config))
    elif part == "text_encoder":
        converted = tables.convert_ldm_clip_checkpoint(dict(weights))
    else:
        start = next(iter(weights)).partition("model.")[0] + "model."
        shape = SimpleNamespace(config=SimpleNamespace(hidden_size=config["hidden_size"]))
        converted = tables.convert_open_clip_checkpoint(shape, dict(weights), prefix=start)
    # Position numbers are no weights: transformers has long made them itself.
    return {name: value for name, value in converted.items() if not name.endswith("position_ids")}
