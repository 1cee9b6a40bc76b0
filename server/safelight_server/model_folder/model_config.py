"""Reads the JSON files of a model folder, before anything is compiled: what the model is, or why it is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from safelight_server.arrays import Array
from safelight_server.errors import LoadError
from safelight_server.samplers.table import check_config, name_of

from . import json_file
from .manifest import Manifest
from .manifest import read as read_manifest
from .readiness import check_ready

Kind = Literal["base", "refiner", "inpaint"]
Json = dict[str, Any]

# A pipeline's class does not say whether a model is a base, a refiner or for inpainting: its networks do.
CLASSES = ("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline")

# The map from latents to RGB in -1..1 for the VAE of SDXL base 1.0: public facts, from ComfyUI's latent_formats.py.
SDXL_LATENT_RGB = (
    [[0.3651, 0.4232, 0.4341], [-0.2533, -0.0042, 0.1068], [0.1076, 0.1111, -0.0362], [-0.3165, -0.2492, -0.2188]],
    [0.1084, -0.0175, -0.0011],
)


@dataclass(frozen=True)
class Latents:
    """The latent space of a VAE, and how its values are scaled for the UNet."""

    channels: int
    factor: int  # pixels of a latent's edge
    scaling: float  # the UNet sees latents times this
    mean: tuple[float, ...] | None  # by channel; with std, (latents - mean) / std is what is scaled
    std: tuple[float, ...] | None


@dataclass(frozen=True)
class ModelConfig:
    """What the files of a folder say of its model."""

    folder: Path
    kind: Kind
    encoders: tuple[str, ...]  # folders of the text encoders, in the order in which their features are joined
    latents: Latents
    scheduler_config: Json  # scheduler_config.json
    scheduler: str  # the name of the sampler for it
    native_edge: int  # pixels
    steps: int  # default
    guidance: float  # default
    guidance_embedding: int | None  # width of the UNet's own guidance input
    zero_negative: bool  # a request without a negative prompt is conditioned on zeros, not on the encoded empty text
    latent_rgb: tuple[Array, Array] | None  # (channels, 3) and (3,), for previews; None: to be fitted
    manifest: Manifest

    @property
    def has_tiny_decoder(self) -> bool:
        """Whether the folder, or one that it shares parts with, has a tiny decoder."""
        return self.graph("vae_tiny_decoder").is_file()

    def graph(self, part: str) -> Path:
        """The file of a network's graph: in the folder, or in the one that it reads this part from."""
        return self.manifest.part(part) / "openvino_model.xml"

    def tokenizer(self, encoder: str) -> Path:
        """The folder of a text encoder's tokenizer."""
        return self.manifest.part(encoder.replace("text_encoder", "tokenizer"))


def read(folder: Path) -> ModelConfig:
    """The model of a folder. Raises LoadError, one line, for a folder that holds no such model or lacks a file."""
    check_ready(folder)
    try:
        config = _config(folder)
        _check_files(config)
    except (OSError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise LoadError(f"{folder}: a value in one of its JSON files is not of its kind: {error}") from None
    return config


def _config(folder: Path) -> ModelConfig:
    index = _json(folder / "model_index.json")
    if str(index.get("_class_name", "")).removeprefix("OV") not in CLASSES:
        raise LoadError(
            f"{folder}/model_index.json: _class_name must be one of {', '.join(CLASSES)}, "
            f"not {index.get('_class_name')!r}"
        )
    manifest = read_manifest(folder)
    unet, vae = _json(folder / "unet/config.json"), _json(manifest.part("vae_decoder") / "config.json")
    scheduler_config = _json(folder / "scheduler/scheduler_config.json")
    latents = _latents(vae)
    if manifest.latent_rgb and len(manifest.latent_rgb[0]) != latents.channels:
        raise LoadError(f"{folder}/safelight.json: latent_rgb.matrix must have {latents.channels} rows, as the VAE has")
    scheduler = _scheduler(folder, scheduler_config)
    few_steps, width = scheduler == "lcm", unet.get("time_cond_proj_dim")
    return ModelConfig(
        folder=folder,
        kind=_kind(folder, index, unet, latents),
        encoders=("text_encoder", "text_encoder_2") if _has_part(index, "text_encoder") else ("text_encoder_2",),
        latents=latents,
        scheduler_config=scheduler_config,
        scheduler=scheduler,
        native_edge=_edge(unet.get("sample_size")) * latents.factor,
        steps=manifest.steps or (4 if few_steps else 25),
        guidance=manifest.guidance if manifest.guidance is not None else 1.0 if few_steps else 5.0,
        guidance_embedding=None if width is None else int(_check_number("time_cond_proj_dim", int(width), 2**16)),
        zero_negative=bool(index.get("force_zeros_for_empty_prompt", True)),
        latent_rgb=manifest.latent_rgb or _latent_rgb(vae),
        manifest=manifest,
    )


def _json(path: Path) -> Json:
    try:
        return json_file.read(path)[1]
    except FileNotFoundError:
        raise LoadError(f"{path}: is missing; a folder written by `safelight-server export` has it") from None
    except (OSError, ValueError) as error:
        raise LoadError(f"{path}: cannot be read as JSON: {error}") from None


def _has_part(index: Json, part: str) -> bool:
    """Whether model_index.json names a class for this part: [null, null], or no key, says that there is none."""
    return bool(index.get(part) and index[part][-1])


def _kind(folder: Path, index: Json, unet: Json, latents: Latents) -> Kind:
    if unet.get("addition_embed_type") != "text_time":
        raise LoadError(
            f"{folder}/unet/config.json: addition_embed_type must be 'text_time', as SDXL has it, "
            f"not {unet.get('addition_embed_type')!r}"
        )
    if index.get("requires_aesthetics_score"):
        return "refiner"
    plain, inpaint = latents.channels, 2 * latents.channels + 1
    channels = unet.get("in_channels", plain)
    if channels not in (plain, inpaint):
        raise LoadError(
            f"{folder}/unet/config.json: in_channels must be {plain}, or {inpaint} for inpainting, not {channels!r}"
        )
    return "inpaint" if channels == inpaint else "base"


def _scheduler(folder: Path, scheduler_config: Json) -> str:
    try:
        check_config(scheduler_config)
        return name_of(scheduler_config)
    except ValueError as error:
        raise LoadError(f"{folder}/scheduler/scheduler_config.json: {error}") from None


def _latents(vae: Json) -> Latents:
    channels = int(_check_number("latent_channels", int(vae.get("latent_channels", 4)), 64))
    mean, std = vae.get("latents_mean"), vae.get("latents_std")
    levels = int(_check_number("block_out_channels' length", len(vae.get("block_out_channels", (0,) * 4)), 8))
    return Latents(
        channels=channels,
        factor=2 ** (levels - 1),
        scaling=float(_check_number("scaling_factor", vae.get("scaling_factor", 0.18215), math.inf)),
        mean=_check_channels("latents_mean", mean, channels) if mean and std else None,
        std=_check_channels("latents_std", std, channels) if mean and std else None,
    )


def _check_channels(name: str, values: Any, channels: int) -> tuple[float, ...]:
    if len(values) != channels or not all(math.isfinite(value) for value in values):
        raise ValueError(f"{name} must be {channels} numbers, not {values!r}")
    return tuple(values)


def _check_number(name: str, value: float, most: float) -> float:
    if not 0 < value <= most or math.isinf(value):
        raise ValueError(f"{name} must be more than 0, and at most {most:g}, not {value!r}")
    return value


def _edge(sample_size: Any) -> int:
    """The native edge in latents, from a UNet's sample_size: a number, a pair, or (in old exports) null: SDXL's 128."""
    edge = max(sample_size) if isinstance(sample_size, list) else sample_size or 128
    return int(_check_number("sample_size", int(edge), 2**16))


def _latent_rgb(vae: Json) -> tuple[Array, Array] | None:
    """SDXL's map for the VAE that it was measured on; None for any other, which needs a map of its own."""
    if (vae.get("block_out_channels"), vae.get("scaling_factor")) != ([128, 256, 512, 512], 0.13025):
        return None
    matrix, bias = SDXL_LATENT_RGB
    return np.array(matrix, np.float32), np.array(bias, np.float32)


def _check_files(config: ModelConfig) -> None:
    networks = (*config.encoders, "unet", "vae_encoder", "vae_decoder")
    for path in (config.graph(network).with_suffix(end) for network in networks for end in (".xml", ".bin")):
        if not path.is_file():
            raise LoadError(f"{path}: is missing; a folder written by `safelight-server export` has it")
    for path in (config.tokenizer(encoder) / "tokenizer.json" for encoder in config.encoders):
        if not path.is_file() and not (path.parent / "vocab.json").is_file():
            raise LoadError(f"{path}: is missing, and there is no vocab.json in its place")
