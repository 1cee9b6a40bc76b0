"""demo-refiner's UNet: an expert for the low-noise end, told the second encoder's features and an aesthetic score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
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

RECIPE = fit.Recipe(steps=400, rate=1e-3, average=0.995)
BATCH = 192
HIGH = 400  # the noisiest time that it knows
SHAPE = base.SHAPE | {
    "block_out_channels": (64, 64, 96),
    "attention_head_dim": (2, 2, 3),
    "cross_attention_dim": WIDTHS[1],
    "projection_class_embeddings_input_dim": WIDTHS[1] + 5 * 32,
}


def build() -> UNet2DConditionModel:
    torch.manual_seed(4)
    unet = UNet2DConditionModel(**SHAPE)
    unet.set_attn_processor(AttnProcessor())
    return unet


def score(originals: torch.Tensor) -> torch.Tensor:
    """The aesthetic score of pictures from originals of so many pixels: 6 for sharp ones, 2 for the most blurred."""
    return 2 + 4 * originals.clamp(max=SIZE) / SIZE


def told(batch: Batch) -> Batch:
    """The batch as a refiner is told of it: a blurred picture by its low score, not by the size of its original."""
    sizes = torch.full_like(batch.time_ids[:, :2], SIZE)
    ids = torch.cat([sizes, batch.time_ids[:, 2:4], score(batch.time_ids[:, :1])], dim=1)
    return replace(batch, features=batch.features[..., WIDTHS[0] :], time_ids=ids)


def train(work: Work, batches: Batches, vae: Any) -> nn.Module:
    def loss(unet: nn.Module, generator: torch.Generator) -> torch.Tensor:
        times = torch.randint(0, HIGH, (BATCH,), generator=generator)
        return diffusion.velocity_loss(unet, told(batches.draw(times, generator)))

    def sheet(unet: nn.Module, path: Path) -> None:
        """Sixteen scenes, noised to the refiner's limit, over what one look makes of them."""
        batch = batches.draw(torch.full((16,), HIGH - 1), torch.Generator().manual_seed(123456789))
        signal, sigma = diffusion.levels(batch.time)
        with torch.no_grad():
            clean = signal * batch.noisy - sigma * diffusion.answer(unet, told(batch))
            rows = [batch.noisy, clean, batch.clean]
            sheets.save(path, [vae.decode(row / vae.config.scaling_factor).sample for row in rows])

    return fit.fit("refiner", work, build(), RECIPE, loss, sheet)
