"""demo-vega's UNet: a smaller one distilled from demo-xl's, then an LCM-LoRA for it, fused, as VegaRT is to Vega."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor
from peft import LoraConfig
from torch import nn
from torch.nn import functional as F

from . import base, diffusion, fit, sheets
from .diffusion import Batch, Batches, levels
from .work import Work

DISTIL = fit.Recipe(steps=1200, rate=5e-4, average=0.995)
LCM = fit.Recipe(steps=400, rate=5e-5, warmup=10, average=0.99, weight_decay=0.0)
BATCH = 128
# As Segmind Vega: no attention in the middle; and here none at 8x8 on the way down.
SHAPE: dict[str, Any] = {
    "mid_block_type": "UNetMidBlock2D",
    "down_block_types": ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
}
LORA = LoraConfig(
    r=32,
    lora_alpha=32,
    target_modules=[
        "to_q",
        "to_k",
        "to_v",
        "to_out.0",
        "proj_in",
        "proj_out",
        "ff.net.0.proj",
        "ff.net.2",
        "conv1",
        "conv2",
        "conv_shortcut",
        "downsamplers.0.conv",
        "upsamplers.0.conv",
        "time_emb_proj",
    ],
)
SKIP = diffusion.STEPS // 50  # LCM's solver steps over this many times at once
GUIDANCE = (1.0, 1.5)  # the teacher's, at random for each picture: the student learns it in


def distil(work: Work, teacher: Any, batches: Batches, vae: Any) -> nn.Module:
    """The small UNet, trained from the teacher's weights where it has the same, on its outputs and on the truth."""
    unet = base.build(**SHAPE)
    weights = {name: value for name, value in teacher.state_dict().items() if name in unet.state_dict()}
    unet.load_state_dict(weights, strict=False)

    def loss(model: nn.Module, generator: torch.Generator) -> torch.Tensor:
        batch = batches.batch(diffusion.times(BATCH, generator), generator)
        with torch.no_grad():
            taught = diffusion.answer(teacher, batch)
        given = diffusion.answer(model, batch)
        return 0.5 * (F.mse_loss(given, taught) + F.mse_loss(given, batch.velocity()))

    return fit.fit("vega", work, unet, DISTIL, loss, lambda model, path: base.sheet(model, batches, vae, path))


def lcm(work: Work, teacher: Any, batches: Batches, vae: Any) -> nn.Module:
    """The teacher with an LCM-LoRA (arXiv:2311.05556) trained for it and fused."""
    unet = base.build(**SHAPE)
    unet.load_state_dict(teacher.state_dict())
    unet.requires_grad_(False)
    torch.manual_seed(3)
    unet.add_adapter(LORA)
    unet.set_attn_processor(AttnProcessor())

    def loss(model: nn.Module, generator: torch.Generator) -> torch.Tensor:
        place = torch.randint(1, 51, (BATCH,), generator=generator).to(fit.DEVICE)
        late = place * SKIP - 1
        batch = batches.batch(late, generator)
        low, high = GUIDANCE
        scale = low + (high - low) * torch.rand(BATCH, 1, 1, 1, generator=generator).to(fit.DEVICE)
        with torch.no_grad():
            earlier = _solve(teacher, batch, (late - SKIP).clamp(min=0), scale)
            target = consistency(model, earlier)
        given = consistency(model, batch)
        # The clean latents hold the student: by consistency alone, whose targets are its own, it drifts into noise
        # within 200 steps.
        return 0.5 * (_huber(given - target) + _huber(given - batch.clean))

    unet = fit.fit("lcm", work, unet, LCM, loss, lambda model, path: _sheet(model, batches, vae, path))
    unet.fuse_lora()
    unet.unload_lora()
    return unet


def _huber(error: torch.Tensor) -> torch.Tensor:
    """Pseudo-Huber, c = 0.001, as LCM's authors train."""
    return (error.square() + 1e-6).sqrt().mean()


def _solve(teacher: Any, batch: Batch, then: torch.Tensor, scale: torch.Tensor) -> Batch:
    """The batch with less noise, at the times `then`: one DDIM step by the teacher with guidance `scale`."""
    velocity = diffusion.answer(teacher, batch)
    velocity = velocity + (scale - 1) * (velocity - diffusion.answer(teacher, batch.without_prompt()))
    signal, sigma = levels(batch.time)
    clean, noise = signal * batch.noisy - sigma * velocity, sigma * batch.noisy + signal * velocity
    signal, sigma = levels(then)
    return replace(batch, noisy=signal * clean + sigma * noise, time=then)


def consistency(unet: Any, batch: Batch) -> torch.Tensor:
    """LCM's consistency function: the clean latents, with its scalings (sigma_data 0.5, times scaled by 10)."""
    signal, sigma = levels(batch.time)
    clean = signal * batch.noisy - sigma * diffusion.answer(unet, batch)
    scaled = 10.0 * batch.time.reshape(-1, 1, 1, 1)
    skip = 0.25 / (scaled.square() + 0.25)
    return skip * batch.noisy + scaled / (scaled.square() + 0.25).sqrt() * clean


@torch.no_grad()
def sample(unet: Any, batch: Batch, steps: int = 4) -> torch.Tensor:
    """Clean latents by LCM's multistep sampling, from `batch.noise`."""
    origins = torch.arange(1, 51).flip(0) * SKIP - 1
    points = [int(time) for time in origins[:: 50 // steps][:steps]]
    latents, generator = batch.noise, torch.Generator().manual_seed(0)
    for i, time in enumerate(points):
        at = replace(batch, noisy=latents, time=torch.full_like(batch.time, time))
        latents = consistency(unet, at)
        if i + 1 < len(points):
            signal, sigma = levels(torch.full_like(batch.time, points[i + 1]))
            latents = signal * latents + sigma * torch.randn(latents.shape, generator=generator).to(fit.DEVICE)
    return latents


def _sheet(unet: nn.Module, batches: Batches, vae: Any, path: Path) -> None:
    batch = batches.batch(torch.zeros(16, dtype=torch.long), torch.Generator().manual_seed(123456789))
    with torch.no_grad():
        sheets.save(
            path, [vae.decode(row / vae.config.scaling_factor).sample for row in (batch.clean, sample(unet, batch))]
        )
