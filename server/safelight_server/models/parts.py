"""The parts of a model: the networks that are made of each one's file, and how these are run."""

from __future__ import annotations

from dataclasses import replace

from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.diffusion.networks import Networks
from safelight_server.lanes.network import Network
from safelight_server.model_folder.model_config import ModelConfig

from .device import Device
from .surgery import operations

LIKE = {"vae_encoder": "vae_decoder"}  # parts that are run in the precision of another one


def parts(config: ModelConfig, networks: Networks) -> dict[str, list[Network]]:
    """By name. The VAE's decoder comes before its encoder, which is like it."""
    found = dict(zip(config.encoders, ([encoder.network] for encoder in networks.encoders), strict=True))
    found["unet"] = [networks.unet, *([networks.shallow_unet] if networks.shallow_unet else [])]
    found["vae_decoder"], found["vae_encoder"] = [networks.vae_decoder], [networks.vae_encoder]
    if networks.tiny_decoder is not None:
        found["vae_tiny_decoder"] = [networks.tiny_decoder]
    return found


def as_run(info: ModelInfo, networks: Networks, device: Device) -> ModelInfo:
    """With the precisions in which its networks are run, and what was changed in their graphs for these."""
    precisions = {part: found[0].precision for part, found in parts(info.config, networks).items()}
    for part, other in LIKE.items():
        precisions[part] = precisions[part] or precisions[other]  # it is not compiled yet
    surgery = operations.told(replace(device, precision=precisions["vae_decoder"]))
    return replace(info, precision=precisions["unet"], precisions=precisions, surgery=surgery)
