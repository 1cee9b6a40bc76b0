"""The cheap ways to see latents: a tiny decoder (TAESD's, in small), and the linear map to RGB that fits best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny
from torch import nn
from torch.nn import functional as F

from . import fit, sheets
from .dataset import Dataset
from .icons import Icons
from .scenes import draw
from .vae import reconstruction
from .work import Work

RECIPE = fit.Recipe(steps=700, rate=1e-3, average=0.99)
BATCH = 24
WIDTH = 24


def build() -> AutoencoderTiny:
    torch.manual_seed(5)
    widths = (WIDTH,) * 4
    return AutoencoderTiny(
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    )


def train(work: Work, data: Dataset, icons: Icons) -> nn.Module:
    """The tiny decoder, trained to make the true pictures from the big VAE's latents."""

    def loss(decoder: nn.Module, generator: torch.Generator) -> torch.Tensor:
        rows = torch.randint(len(data.scenes), (BATCH,), generator=generator).tolist()
        latents = data.latents[rows].float()
        noise = 0.1 * torch.randn(latents.shape, generator=generator)
        wanted = torch.stack([draw(icons, data.scenes[row]) for row in rows])
        return reconstruction(decoder((latents + noise).to(fit.DEVICE)).float(), wanted.to(fit.DEVICE))

    def sheet(decoder: nn.Module, path: Path) -> None:
        rows = torch.randint(len(data.scenes), (12,), generator=torch.Generator().manual_seed(9)).tolist()
        with torch.no_grad():
            given = decoder(data.latents[rows].float().to(fit.DEVICE))
        sheets.save(path, [torch.stack([draw(icons, data.scenes[row]) for row in rows]), given.cpu()])

    return fit.fit("tiny", work, build().decoder, RECIPE, loss, sheet)


def latent_rgb(data: Dataset, icons: Icons) -> dict[str, Any]:
    """The least-squares map from a latent's channels to the mean RGB of its 8x8 pixels, in -1..1."""
    rows = torch.randint(len(data.scenes), (1500,), generator=torch.Generator().manual_seed(10)).tolist()
    latents = data.latents[rows].double().permute(0, 2, 3, 1).reshape(-1, 4)
    pictures = torch.stack([draw(icons, data.scenes[row]) for row in rows]).double()
    means = F.avg_pool2d(pictures, 8).permute(0, 2, 3, 1).reshape(-1, 3)
    solution = torch.linalg.lstsq(torch.cat([latents, torch.ones(len(latents), 1).double()], dim=1), means).solution
    rounded = [[round(value, 5) for value in row] for row in solution.tolist()]
    return {"matrix": rounded[:4], "bias": rounded[4]}
