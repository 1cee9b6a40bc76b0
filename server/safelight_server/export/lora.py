"""Fuses a LoRA into the weights of a UNet. Segmind VegaRT, for example, is Vega with an LCM-LoRA fused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.utils import convert_unet_state_dict_to_peft

from safelight_server.errors import LoadError

ADAPTER = "fused"


def fuse(unet: Any, path: Path, scale: float) -> None:
    """Adds `scale` times the LoRA in the file `path` to the weights of `unet`, in place (Hu et al. 2021).

    Raises LoadError, and changes nothing, for a file that is no LoRA or one for another model.
    """
    weights, alphas = _read(path, unet)
    others = [name for name in weights if not name.startswith("unet.")]
    if others:
        raise LoadError(f"{path}: changes more than the UNet, and only a UNet's LoRA can be fused: {others[0]}")
    _check(unet, convert_unet_state_dict_to_peft(weights), path)
    unet.load_lora_adapter(weights, prefix="unet", network_alphas=alphas, adapter_name=ADAPTER)
    with torch.no_grad():
        unet.fuse_lora(lora_scale=scale)
    unet.unload_lora()


def _read(path: Path, unet: Any) -> tuple[dict[str, torch.Tensor], Any]:
    """The LoRA under diffusers' names, whatever tool wrote it."""
    try:
        weights, alphas = StableDiffusionXLPipeline.lora_state_dict(
            str(path.parent),
            weight_name=path.name,
            unet_config=unet.config,
            local_files_only=True,
            use_safetensors=True,
        )
    except Exception as error:  # the parsers of so many formats raise all sorts of errors
        raise LoadError(f"{path}: cannot be read as a LoRA in safetensors: {_first_line(error)}") from None
    if not any("lora" in name for name in weights):
        raise LoadError(f"{path}: holds no LoRA: none of its {len(weights)} weights has a name of one")
    return weights, alphas


def _check(unet: Any, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Raises LoadError unless each pair of factors belongs to a layer of the UNet, and their product has its shape."""
    modules = dict(unet.named_modules())
    for name, factor in weights.items():
        place, _, which = name.removeprefix("unet.").partition(".lora_")
        if place not in modules or not hasattr(modules[place], "weight"):
            raise LoadError(f"{path}: was made for another model: {place} is no layer of this UNet")
        axis, verb = (1, "takes") if which.startswith("A") else (0, "gives")
        wanted = modules[place].weight.shape[axis]
        if factor.shape[axis] != wanted:
            raise LoadError(
                f"{path}: was made for another model: {place} {verb} {wanted} channels, not {factor.shape[axis]}"
            )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
