"""The VAE: SDXL's autoencoder in small, trained on crops of the icons; factor 8, four latent channels."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn import functional as F

from . import fit, sheets
from .captions import COLOURS
from .icons import SIZE, SMALL, Icons
from .scenes import Scene, draw
from .work import Work

RECIPE = fit.Recipe(steps=5000, rate=7e-4)
DECODER = fit.Recipe(steps=4000, rate=5e-4, decay=0.5)
CROP, CROPS, WHOLE = 64, 24, 6  # pixels of a crop's edge; pictures in a batch of crops, and in one of whole pictures
NOISE = 0.1  # on the latents in training, so that the decoder forgives a UNet's small errors


def build() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(32, 48, 64, 96),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=8,
        sample_size=SIZE,
    )


def train(work: Work, icons: Icons) -> AutoencoderKL:
    """The trained VAE, its scaling factor set so that the icons' latents have unit variance."""
    pictures = Pictures(icons)

    def loss(vae: nn.Module, generator: torch.Generator) -> torch.Tensor:
        wanted = pictures.batch(generator).to(fit.DEVICE)
        mean = vae.encode(wanted).latent_dist.mean
        given = vae.decode(mean + NOISE * torch.randn_like(mean)).sample.float()
        return reconstruction(given, wanted) + 1e-3 * mean.float().square().mean()

    vae = fit.fit("vae", work, build(), RECIPE, loss, lambda model, path: _sheet(model, pictures, path))
    return _finish(vae, icons)


def finish_decoder(work: Work, vae: AutoencoderKL, icons: Icons) -> AutoencoderKL:
    """The VAE with its decoder trained further; the latents stay as the UNets know them."""
    pictures = Pictures(icons)
    parts = nn.ModuleDict({"post_quant_conv": vae.post_quant_conv, "decoder": vae.decoder})
    decoder = copy.deepcopy(parts).requires_grad_(True)  # a trained VAE comes frozen

    def loss(taught: nn.Module, generator: torch.Generator) -> torch.Tensor:
        wanted = pictures.batch(generator).to(fit.DEVICE)
        with torch.no_grad():
            mean = vae.encode(wanted).latent_dist.mean
            noisy = mean + NOISE / 2 * torch.randn(mean.shape, generator=generator).to(mean)
        return reconstruction(taught["decoder"](taught["post_quant_conv"](noisy)).float(), wanted)

    def sheet(taught: nn.Module, path: Path) -> None:
        vae.load_state_dict(vae.state_dict() | taught.state_dict())
        _sheet(vae, pictures, path)

    taught = fit.fit("decoder", work, decoder, DECODER, loss, sheet)
    vae.load_state_dict(vae.state_dict() | taught.state_dict())
    return vae


def reconstruction(given: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The loss: L1 of the pixels, of their differences (for flat areas and edges) and of 8x8 means (for colours)."""
    edges = sum(F.l1_loss(given.diff(dim=axis), wanted.diff(dim=axis)) for axis in (2, 3))
    means = F.l1_loss(F.avg_pool2d(given, 8), F.avg_pool2d(wanted, 8))
    return F.l1_loss(given, wanted) + edges + 2 * means


class Pictures:
    """Random icons on random colours, mirrored at random: whole, or crops of CROP pixels."""

    def __init__(self, icons: Icons) -> None:
        self._icons = torch.from_numpy(icons.full)
        room = (SIZE - SMALL) // 2
        self._small = F.pad(torch.from_numpy(icons.small), (room,) * 4)

    def batch(self, generator: torch.Generator) -> torch.Tensor:
        """float32 (pictures, 3, edge, edge) in [-1, 1]."""
        choice = random.Random(int(torch.randint(2**31, (), generator=generator)))
        whole = choice.random() < 0.2
        return torch.stack([self._one(choice, SIZE if whole else CROP) for _ in range(WHOLE if whole else CROPS)])

    def _one(self, choice: random.Random, edge: int) -> torch.Tensor:
        source = self._small if choice.random() < 0.2 else self._icons
        top, left = choice.randint(0, SIZE - edge), choice.randint(0, SIZE - edge)
        cut = source[choice.randrange(len(source)), :, top : top + edge, left : left + edge].float() / 127.5
        named = choice.random() < 0.6
        colour = choice.choice(list(COLOURS.values())) if named else [choice.randrange(256) for _ in range(3)]
        picture = cut[:3] + torch.tensor(colour).reshape(3, 1, 1) / 127.5 * (1 - cut[3:] / 2) - 1
        return picture.flip(2) if choice.random() < 0.5 else picture


def _finish(vae: AutoencoderKL, icons: Icons) -> AutoencoderKL:
    """Sets the variance to almost 0, as only the encoder's mean is used, and the scaling factor by 500 icons."""
    with torch.no_grad():
        vae.quant_conv.weight[4:] = 0
        vae.quant_conv.bias[4:] = -20
        choice = random.Random(0)
        pictures = [
            draw(icons, Scene(choice.randrange(len(icons.names)), choice.choice(list(COLOURS)))) for _ in range(500)
        ]
        latents = torch.cat(
            [vae.encode(part).latent_dist.mean for part in torch.stack(pictures).to(fit.DEVICE).split(50)]
        )
    vae.register_to_config(scaling_factor=round(1 / float(latents.std()), 5))
    return vae


@torch.no_grad()
def _sheet(vae: nn.Module, pictures: Pictures, path: Path) -> None:
    """A picture file: twelve pictures, and below each its reconstruction."""
    choice = random.Random(7)
    wanted = torch.stack([pictures._one(choice, SIZE) for _ in range(12)]).to(fit.DEVICE)
    given = vae.decode(vae.encode(wanted).latent_dist.mean).sample
    decibels = -10 * ((given.clamp(-1, 1) - wanted) / 2).square().mean().log10()
    sheets.save(path, [wanted, given], f"{decibels:.2f} dB")
