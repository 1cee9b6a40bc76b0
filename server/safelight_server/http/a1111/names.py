"""A1111's names: of samplers and their schedulers, of models, and of the fields that ours go by."""

from __future__ import annotations

import re
from typing import Any

from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.http.failures import bad
from safelight_server.images.parameters import SAMPLERS as LABELS
from safelight_server.samplers.names import canonical
from safelight_server.samplers.table import SAMPLERS

SAME = ("", "automatic", "normal", "uniform", "none")  # the sampler's own; "normal" is what SillyTavern begins with
SPACINGS = {"karras": "Karras", "exponential": "Exponential", "beta": "Beta", "sgm_uniform": "SGM Uniform"}
# What A1111's Automatic is for these (modules/sd_samplers_kdiffusion.py).
AUTOMATIC = {
    "dpmpp_2m": "karras",
    "dpmpp_2m_sde": "exponential",
    "dpmpp_sde": "karras",
    "kdpm2": "karras",
    "kdpm2_ancestral": "karras",
}
# Ours: A1111's, where the contract's own check finds a bad field.
PARAMS = {
    "guidance_scale": "cfg_scale",
    "strength": "denoising_strength",
    "image": "init_images",
    "scheduler": "sampler_name",
    "num_images": "batch_size",
    "model": "override_settings.sd_model_checkpoint",
    "refiner.model": "refiner_checkpoint",
    "refiner.handoff": "refiner_switch_at",
}


def put_sampler(asked: Any, sampler: str, spacing: str) -> None:
    """The sampler and the spacing of its noise levels, into a request. Raises InvalidRequest for what we lack."""
    spacing = spacing.strip().lower().replace(" ", "_")
    name = canonical(sampler) if sampler else ""
    if name and name not in SAMPLERS:
        raise bad("sampler_name", f"must be one of {', '.join(LABELS.values())}, not {sampler[:80]!r}")
    if spacing in SAME:
        spacing = AUTOMATIC.get(name, "") if spacing != "uniform" else ""
    elif spacing not in SPACINGS:
        raise bad(
            "scheduler", f"must be one of Automatic, Uniform, {', '.join(SPACINGS.values())}, not {spacing[:80]!r}"
        )
    if name.endswith(f"_{spacing}") or not spacing:
        asked.scheduler = name
    elif f"{name}_{spacing}" in SAMPLERS:
        asked.scheduler = f"{name}_{spacing}"
    else:
        raise bad("scheduler", f"must be Automatic or Uniform for {sampler or 'the model'}, not {spacing}")


def sampler_list() -> list[dict[str, Any]]:
    return [
        {"name": label, "aliases": [f"k_{name}", name], "options": {"scheduler": AUTOMATIC.get(name, "automatic")}}
        for name, label in LABELS.items()
    ]


def scheduler_list() -> list[dict[str, Any]]:
    return [
        {"name": name, "label": label, "aliases": None, "default_rho": -1.0, "need_inner_model": False}
        for name, label in {"automatic": "Automatic", "uniform": "Uniform", **SPACINGS}.items()
    ]


def title(info: ModelInfo) -> str:
    """A model as A1111 lists it: its name and the first digits of its hash."""
    digest = digest_of(info)
    return f"{info.name} [{digest}]" if digest else info.name


def digest_of(info: ModelInfo) -> str:
    return info.config.manifest.unet_hash[:10]


def model_of(told: str) -> str:
    """The name in a title; a bare name is one, too."""
    return re.sub(r"( \[[0-9a-f]+\])?$", "", told.strip()).removesuffix(".safetensors")


def model_list(infos: dict[str, ModelInfo]) -> list[dict[str, Any]]:
    return [
        {
            "title": title(info),
            "model_name": name,
            "hash": digest_of(info),
            "sha256": info.config.manifest.unet_hash,
            "filename": name,
            "config": None,
        }
        for name, info in infos.items()
    ]
