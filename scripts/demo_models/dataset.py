"""The data that the UNets learn from: the latents of many scenes, and captions that ask for each."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from tqdm import tqdm

from . import fit
from .captions import COLOURS, caption, held_out
from .icons import Icons
from .scenes import Scene, draw, vary
from .work import Work

VARIED = 16_000  # scenes that are small, cut or blurred, besides one plain scene of every pair


@dataclass(frozen=True)
class Dataset:
    """`latents`: float16 (scenes, 4, 16, 16), scaled to unit variance; `scenes` in the same order, `plain` first."""

    names: list[str]
    scenes: list[Scene]
    plain: int  # how many scenes are an icon on a colour, and no more
    latents: torch.Tensor

    def time_ids(self) -> torch.Tensor:
        return torch.tensor([scene.time_ids() for scene in self.scenes])

    def caption(self, index: int, choice: random.Random) -> str:
        scene = self.scenes[index]
        return caption(self.names[scene.icon], scene.colour, choice, scene.small)


def load(work: Work, icons: Icons, vae: AutoencoderKL) -> Dataset:
    """The data set; its latents are encoded once, into `work`."""
    count = work.some(VARIED, 16)
    scenes = _scenes(icons.names, count)
    kept = work / "latents.pt"
    if not kept.is_file():
        torch.save(encode(icons, scenes, vae), kept.with_suffix(".partial"))
        kept.with_suffix(".partial").rename(kept)
    return Dataset(icons.names, scenes, len(scenes) - count, torch.load(kept, weights_only=True))


def _scenes(names: list[str], varied_scenes: int) -> list[Scene]:
    """Every pair that is not held out, plain; then as many varied ones, of pairs that are not held out either."""
    pairs = [(i, colour) for i, name in enumerate(names) for colour in COLOURS if not held_out(name, colour)]
    choice = random.Random(1)
    return [Scene(*pair) for pair in pairs] + [vary(*choice.choice(pairs), choice) for _ in range(varied_scenes)]


@torch.no_grad()
def encode(icons: Icons, scenes: list[Scene], vae: AutoencoderKL) -> torch.Tensor:
    """The scenes' latents, float16 (scenes, 4, 16, 16)."""
    latents = []
    for start in tqdm(range(0, len(scenes), 64), desc="latents", unit="batch"):
        pictures = torch.stack([draw(icons, scene) for scene in scenes[start : start + 64]]).to(fit.DEVICE)
        with torch.autocast(fit.DEVICE.type, torch.bfloat16):
            mean = vae.encode(pictures).latent_dist.mean
        latents.append((mean.float() * vae.config.scaling_factor).half().cpu())
    return torch.cat(latents)
