"""optimum-intel's OVStableDiffusionXLPipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from optimum.intel import OVStableDiffusionXLPipeline

from benchmark.request import Request

Pixels = npt.NDArray[np.uint8]
Latents = npt.NDArray[np.float32]
OnStep = Callable[[Latents], bool]


class Pipeline:
    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self._pipeline = OVStableDiffusionXLPipeline.from_pretrained(folder, device="CPU", ov_config=settings)
        self._pipeline.set_progress_bar_config(disable=True)

    def draw(self, request: Request, on_step: OnStep | None = None) -> Pixels:
        """A picture (edge, edge, 3). `on_step` gets the latents after each step, and returns whether to stop."""
        return self.batch([request], on_step)[0]

    def batch(self, requests: Sequence[Request], on_step: OnStep | None = None) -> list[Pixels]:
        """The pictures of several prompts in one call; all requests have one size, steps and guidance."""

        def on_step_end(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            pipeline._interrupt = on_step is not None and on_step(tensors["latents"])  # as diffusers' guide stops one
            return tensors

        first = requests[0]
        images = self._pipeline(
            [one.prompt for one in requests],
            width=first.edge,
            height=first.edge,
            num_inference_steps=first.steps,
            guidance_scale=first.guidance,
            generator=[torch.Generator().manual_seed(one.seed) for one in requests],
            callback_on_step_end=on_step_end if on_step else None,
        ).images
        return [np.asarray(image) for image in images]

    def decode(self, latents: Any) -> Pixels:
        """Latents (1, 4, edge / 8, edge / 8) to a picture, as the pipeline itself decodes them."""
        vae = self._pipeline.vae
        raw = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
        return np.asarray(self._pipeline.image_processor.postprocess(torch.as_tensor(raw))[0])
