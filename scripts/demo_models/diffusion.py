"""The training of all UNets: SDXL's noise schedule, v-prediction, batches of noised latents, DDIM samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional as F

from . import fit
from .captions import COLOURS
from .dataset import Dataset
from .prompts import PHRASINGS, Prompts

STEPS = 1000
# v-prediction: at the noisy end the UNet predicts the picture itself. An error in epsilon would be multiplied by sigma.
SCHEDULER: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": STEPS,
    "prediction_type": "v_prediction",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}
ALPHAS = (1 - torch.linspace(0.00085**0.5, 0.012**0.5, STEPS) ** 2).cumprod(0).to(fit.DEVICE)
UNCONDITIONAL = 0.1  # the share of a batch that sees zeros, as SDXL does where no negative prompt is given
PLAIN = 0.65  # the share of plain scenes
BLANK = 0.04  # the share whose caption says nothing, or the colour alone


@dataclass(frozen=True)
class Batch:
    """Noised latents, and the UNet's other inputs for them."""

    noisy: torch.Tensor
    time: torch.Tensor
    features: torch.Tensor
    pooled: torch.Tensor
    time_ids: torch.Tensor
    clean: torch.Tensor
    noise: torch.Tensor

    def velocity(self) -> torch.Tensor:
        """The output that a v-predicting UNet should have."""
        signal, sigma = levels(self.time)
        return signal * self.noise - sigma * self.clean

    def without_prompt(self) -> Batch:
        return replace(self, features=torch.zeros_like(self.features), pooled=torch.zeros_like(self.pooled))


def levels(time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The shares of signal and of noise at `time`, each (batch, 1, 1, 1)."""
    kept = ALPHAS[time].reshape(-1, 1, 1, 1)
    return kept.sqrt(), (1 - kept).sqrt()


class Batches:
    """Random batches of the data set."""

    def __init__(self, data: Dataset, prompts: Prompts) -> None:
        self.data, self.prompts = data, prompts
        self.time_ids = data.time_ids()

    def rows(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """The rows of random scenes, mostly plain ones: those are what people ask for."""
        everything, plain = len(self.data.scenes), self.data.plain
        varied = torch.rand(count, generator=generator) >= PLAIN
        return torch.where(
            varied,
            torch.randint(plain, everything, (count,), generator=generator),
            torch.randint(plain, (count,), generator=generator),
        )

    def batch(self, time: torch.Tensor, generator: torch.Generator) -> Batch:
        """A random batch, of one scene for each of these times."""
        rows = self.rows(len(time), generator)
        captions = self._captions(rows, generator)
        features, pooled = (value[captions].to(fit.DEVICE) for value in (self.prompts.features, self.prompts.pooled))
        shown = (torch.rand(len(rows), generator=generator) >= UNCONDITIONAL).to(fit.DEVICE)
        clean = self.data.latents[rows].float()
        noise = torch.randn(clean.shape, generator=generator).to(fit.DEVICE)
        clean, time = clean.to(fit.DEVICE), time.to(fit.DEVICE)
        signal, sigma = levels(time)
        return Batch(
            signal * clean + sigma * noise,
            time,
            features * shown[:, None, None],
            pooled * shown[:, None],
            self.time_ids[rows].to(fit.DEVICE),
            clean,
            noise,
        )

    def _captions(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A random caption for each scene: rows of the prompts. Some are blank, or name the scene's colour only."""
        choice = torch.rand(len(rows), generator=generator)
        captions = rows * PHRASINGS + torch.randint(PHRASINGS, (len(rows),), generator=generator)
        captions[choice < BLANK / 2] = self.prompts.blank
        colour_only = (choice >= BLANK / 2) & (choice < BLANK)
        colours = torch.tensor([self._colour(int(row)) for row in rows[colour_only]], dtype=torch.long)
        captions[colour_only] = self.prompts.blank + 1 + colours
        return captions

    def _colour(self, row: int) -> int:
        return list(COLOURS).index(self.data.scenes[row].colour)


def times(count: int, generator: torch.Generator, low: int = 0, high: int = STEPS) -> torch.Tensor:
    """Random times in [low, high): even, but three in ten from the noisiest fifth, where the caption decides."""
    even = torch.randint(low, high, (count,), generator=generator)
    late = torch.randint(high - (high - low) // 5, high, (count,), generator=generator)
    return torch.where(torch.rand(count, generator=generator) < 0.3, late, even)


def answer(unet: Any, batch: Batch) -> torch.Tensor:
    """The UNet's output for a batch, float32."""
    conditions = {"text_embeds": batch.pooled, "time_ids": batch.time_ids}
    with torch.autocast(fit.DEVICE.type, torch.bfloat16):
        output = unet(batch.noisy, batch.time, batch.features, added_cond_kwargs=conditions, return_dict=False)[0]
    return output.float()


def velocity_loss(unet: Any, batch: Batch) -> torch.Tensor:
    return F.mse_loss(answer(unet, batch), batch.velocity())


@torch.no_grad()
def sample(unet: Any, batch: Batch, steps: int, guidance: float) -> torch.Tensor:
    """Clean latents from `batch.noise` by DDIM, for sheets; the server has samplers of its own."""
    latents = batch.noise
    points = torch.linspace(STEPS - 1, 0, steps + 1).long().tolist()
    for now, then in pairwise(points):
        at = replace(batch, noisy=latents, time=torch.full_like(batch.time, now))
        velocity = answer(unet, at)
        if guidance != 1:
            plain = answer(unet, at.without_prompt())
            velocity = plain + guidance * (velocity - plain)
        signal, sigma = levels(at.time)
        clean, noise = signal * latents - sigma * velocity, sigma * latents + signal * velocity
        signal, sigma = levels(torch.full_like(batch.time, then))
        latents = clean if then == 0 else signal * clean + sigma * noise
    return latents
