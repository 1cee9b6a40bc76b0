"""demo-refiner's UNet: for the low-noise end, conditioned on the second encoder's features and an aesthetic score."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from . import base, diffusion, fit, sheets
from .diffusion import Batch, Batches
from .icons import SIZE
from .text import WIDTHS
from .work import Work

RECIPE = fit.Recipe(steps=2200, rate=7e-4, decay=0.4, average=0.997)
BATCH = 192
HIGH = 300  # the noisiest time that it knows, for redrawing at strength 0.3
HANDOFF = 200  # the noisiest time after a handoff at 0.8, where most of its work is: four pictures in five
# What is left at the low-noise end is local: the base's two finest levels, without its coarsest.
SHAPE = base.SHAPE | {
    "block_out_channels": (64, 128),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "mid_block_type": "UNetMidBlock2D",
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 1),
    "attention_head_dim": (2, 4),
    "cross_attention_dim": WIDTHS[1],
    "projection_class_embeddings_input_dim": WIDTHS[1] + 5 * 32,
}


def build(teacher: nn.Module) -> UNet2DConditionModel:
    """The UNet, with the base's weights where they fit: even a part of a layer is better than random weights."""
    torch.manual_seed(4)
    unet = UNet2DConditionModel(**SHAPE)
    unet.set_attn_processor(AttnProcessor())
    known = teacher.state_dict()
    weights = {name: _fit_weight(name, known.get(_source(name)), fresh) for name, fresh in unet.state_dict().items()}
    unet.load_state_dict(weights)
    return unet


def _source(name: str) -> str:
    """The base's name of a weight: its way up has a level more before these."""
    return re.sub(r"^up_blocks\.(\d)", lambda level: f"up_blocks.{int(level[1]) + 1}", name)


def _fit_weight(name: str, known: torch.Tensor | None, fresh: torch.Tensor) -> torch.Tensor:
    """The base's weight, cut to size. The base reads the features of both encoders, the refiner those of the second."""
    if known is None or name.startswith("mid_block") or known.shape[0] != fresh.shape[0]:
        return fresh
    if known.shape == fresh.shape:
        return known.cpu()
    if "attn2" in name:
        return known[:, WIDTHS[0] :].cpu()
    return known[:, : fresh.shape[1]].cpu() if name.startswith("add_embedding") else fresh


def score(originals: torch.Tensor) -> torch.Tensor:
    """The aesthetic scores of pictures, by the edges of their originals: 6 for sharp ones, 2 for the most blurred."""
    return 2 + 4 * originals.clamp(max=SIZE) / SIZE


def refiner_batch(batch: Batch) -> Batch:
    """The batch with a refiner's conditions: a blurred picture has a low score, not a small original."""
    sizes = torch.full_like(batch.time_ids[:, :2], SIZE)
    ids = torch.cat([sizes, batch.time_ids[:, 2:4], score(batch.time_ids[:, :1])], dim=1)
    return replace(batch, features=batch.features[..., WIDTHS[0] :], time_ids=ids)


def train(work: Work, teacher: nn.Module, batches: Batches, vae: Any) -> nn.Module:
    def loss(unet: nn.Module, generator: torch.Generator) -> torch.Tensor:
        times = torch.randint(0, HANDOFF, (BATCH,), generator=generator)
        times[: BATCH // 5] = torch.randint(0, HIGH, (BATCH // 5,), generator=generator)
        return diffusion.velocity_loss(unet, refiner_batch(batches.batch(times, generator)))

    def sheet(unet: nn.Module, path: Any) -> None:
        """A picture file: sixteen scenes noised to the refiner's limit; below, the UNet's x0 of each, and the truth."""
        batch = batches.batch(torch.full((16,), HIGH - 1), torch.Generator().manual_seed(123456789))
        signal, sigma = diffusion.levels(batch.time)
        with torch.no_grad():
            clean = signal * batch.noisy - sigma * diffusion.answer(unet, refiner_batch(batch))
            rows = [batch.noisy, clean, batch.clean]
            sheets.save(path, [vae.decode(row / vae.config.scaling_factor).sample for row in rows])

    return fit.fit("refiner", work, build(teacher), RECIPE, loss, sheet)
