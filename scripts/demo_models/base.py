"""The base UNet of demo-xl: SDXL's in small, trained on latents and cached captions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from . import diffusion, fit, sheets
from .diffusion import Batches
from .text import FEATURES, WIDTHS
from .work import Work

RECIPE = fit.Recipe(steps=2000, rate=1e-3, warmup=200, average=0.998)
BATCH = 192
SHAPE: dict[str, Any] = {
    "sample_size": 16,
    "block_out_channels": (64, 128, 160),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "transformer_layers_per_block": (1, 1, 1),
    "attention_head_dim": (2, 4, 5),  # the number of heads, as in SDXL's own configuration
    "norm_num_groups": 16,
    "cross_attention_dim": FEATURES,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 32,
    "projection_class_embeddings_input_dim": WIDTHS[1] + 6 * 32,
    "use_linear_projection": True,
}


def build(**changes: Any) -> UNet2DConditionModel:
    """The UNet with fresh weights; `changes` go over SHAPE."""
    torch.manual_seed(2)
    unet = UNet2DConditionModel(**SHAPE | changes)
    unet.set_attn_processor(AttnProcessor())  # fused attention makes training on a CPU half as fast
    return unet


def train(work: Work, batches: Batches, vae: Any) -> nn.Module:
    """The trained UNet."""

    def loss(unet: nn.Module, generator: torch.Generator) -> torch.Tensor:
        return diffusion.velocity_loss(unet, batches.batch(diffusion.times(BATCH, generator), generator))

    return fit.fit("base", work, build(), RECIPE, loss, lambda unet, path: sheet(unet, batches, vae, path))


def sheet(unet: nn.Module, batches: Batches, vae: Any, path: Path, steps: int = 12, guidance: float = 2.0) -> None:
    """A picture file: sixteen scenes, and below each what the UNet draws for its caption."""
    generator = torch.Generator().manual_seed(123456789)
    batch = batches.batch(torch.zeros(16, dtype=torch.long), generator)
    with torch.no_grad():
        rows = [batch.clean, diffusion.sample(unet, batch, steps, guidance)]
        sheets.save(path, [vae.decode(row / vae.config.scaling_factor).sample for row in rows])
