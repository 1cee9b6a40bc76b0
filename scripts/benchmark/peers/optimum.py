"""optimum-intel's OVStableDiffusionXLPipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from optimum.intel import OVStableDiffusionXLPipeline

from benchmark.asked import Asked

Pixels = npt.NDArray[np.uint8]
Latents = npt.NDArray[np.float32]
OnStep = Callable[[Latents], bool]


class Pipeline:
    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self._pipeline = OVStableDiffusionXLPipeline.from_pretrained(folder, device="CPU", ov_config=settings)
        self._pipeline.set_progress_bar_config(disable=True)

    def draw(self, asked: Asked, on_step: OnStep | None = None) -> Pixels:
        """A picture (edge, edge, 3); `on_step` sees the latents after each step, and says whether to stop."""
        return self.batch([asked], on_step)[0]

    def batch(self, asked: Sequence[Asked], on_step: OnStep | None = None) -> list[Pixels]:
        """Several prompts in one call; all of one size, steps and guidance."""

        def ended(pipeline: Any, step: int, timestep: Any, told: dict[str, Any]) -> dict[str, Any]:
            pipeline._interrupt = on_step is not None and on_step(told["latents"])  # as diffusers' guide stops one
            return told

        first = asked[0]
        images = self._pipeline(
            [one.prompt for one in asked],
            width=first.edge,
            height=first.edge,
            num_inference_steps=first.steps,
            guidance_scale=first.guidance,
            generator=[torch.Generator().manual_seed(one.seed) for one in asked],
            callback_on_step_end=ended if on_step else None,
        ).images
        return [np.asarray(image) for image in images]

    def decode(self, latents: Any) -> Pixels:
        """Latents (1, 4, edge / 8, edge / 8) to a picture, as the pipeline itself decodes them."""
        vae = self._pipeline.vae
        raw = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
        return np.asarray(self._pipeline.image_processor.postprocess(torch.as_tensor(raw))[0])
