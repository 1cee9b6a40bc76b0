"""Tells a single file's model: its parts, and all the small files that the diffusers layout would have beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelight_server.errors import LoadError
from safelight_server.export.headers import Header

from . import contents, kinds, parts, scheduler, tokenizer, unet
from .contents import below
from .kinds import CLIP, FIRST, OPEN_CLIP, SECOND, UNET, VAE

Shapes = dict[str, tuple[int, ...]]
CLASSES = {
    "unet": ("diffusers", "UNet2DConditionModel"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "text_encoder_2": ("transformers", "CLIPTextModelWithProjection"),
    "vae": ("diffusers", "AutoencoderKL"),
}
# The pipeline's class of diffusers, by whether the UNet takes a mask, and whether it is a refiner.
PIPELINES = {
    (False, False): "StableDiffusionXLPipeline",
    (True, False): "StableDiffusionXLInpaintPipeline",
    (False, True): "StableDiffusionXLImg2ImgPipeline",
}
INPAINT = 9  # channels of the input


@dataclass(frozen=True)
class Description:
    """What a single file holds. Its parts are in the order of the index; a file may lack the VAE."""

    index: dict[str, Any]  # model_index.json
    parts: tuple[str, ...]
    small: dict[str, bytes]  # configurations, tokenizers, the scheduler, by their paths in a checkpoint


def describe(path: Path, *, pickles: bool) -> Description:
    """The description of a file. Raises LoadError, one line, for one that is no checkpoint of SDXL's kind."""
    header = contents.read(path, pickles=pickles)
    shapes = header.shapes
    kinds.check(path, shapes)
    refiner = not any(name.startswith(SECOND) for name in shapes)
    configs = {
        part: _told(path, part, tell)
        for part, tell in _tellers(path, header, refiner).items()
        if part != "vae" or below(shapes, VAE)
    }
    mask = configs["unet"]["in_channels"] == INPAINT
    index: dict[str, Any] = {"_class_name": PIPELINES[mask, refiner], "force_zeros_for_empty_prompt": not refiner}
    if refiner:
        index |= {"requires_aesthetics_score": True, "text_encoder": [None, None], "tokenizer": [None, None]}
    index |= {part: list(CLASSES[part]) for part in CLASSES if part in configs}
    small = {f"{part}/config.json": _json(config) for part, config in configs.items()}
    for part in (part for part in configs if part.startswith("text")):
        name = part.replace("text_encoder", "tokenizer")
        index[name] = ["transformers", "CLIPTokenizer"]
        small |= tokenizer.files(name)
    config = scheduler.config(shapes, header.metadata)
    index["scheduler"] = ["diffusers", config["_class_name"]]
    return Description(index, tuple(configs), small | {"scheduler/scheduler_config.json": _json(config)})


def _tellers(path: Path, header: Header, refiner: bool) -> dict[str, Callable[[], dict[str, Any]]]:
    """What tells the configuration of each part that the kind of model has."""
    shapes = header.shapes
    first, second = below(shapes, (FIRST,)), below(shapes, (FIRST if refiner else SECOND,))
    found: dict[str, Callable[[], dict[str, Any]]] = {
        "unet": lambda: unet.config(below(shapes, (UNET,)), second[f"{OPEN_CLIP}text_projection"][1], refiner),
        "text_encoder": lambda: parts.clip(first),
        "text_encoder_2": lambda: parts.open_clip(second),
        "vae": lambda: vae_config(path, shapes),
    }
    if refiner and not any(name.startswith(CLIP) for name in first):
        del found["text_encoder"]
    return found


def vae_config(path: Path, shapes: Shapes) -> dict[str, Any]:
    """The config.json of the VAE in a file, which may hold nothing else. Raises ValueError or LookupError."""
    edm = {"edm_mean", "edm_std"} <= shapes.keys()
    config = parts.vae(below(shapes, (*VAE, "")), edm)
    return config | (_latents(path) if edm else {})


def _latents(path: Path) -> dict[str, list[float]]:
    import torch

    from safelight_server.export.tensors import weights

    read = dict(weights([path], torch.float32, lambda name: name in ("edm_mean", "edm_std")))
    return {"latents_mean": read["edm_mean"].flatten().tolist(), "latents_std": read["edm_std"].flatten().tolist()}


def _told(path: Path, part: str, tell: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return tell()
    except (LookupError, StopIteration) as error:
        raise LoadError(f"{path}: its {part} is not of SDXL's kind: it lacks {error}") from None
    except ValueError as error:
        raise LoadError(f"{path}: its {part} is not of SDXL's kind: {error}") from None


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
