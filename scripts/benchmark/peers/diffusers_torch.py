"""diffusers' StableDiffusionXLPipeline on torch: eager, or compiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import StableDiffusionXLPipeline

from benchmark.request import Request

Pixels = npt.NDArray[np.uint8]
OnStep = Callable[[Any], bool]


class Pipeline:
    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        dtype = getattr(torch, settings["DTYPE"])
        self._pipeline = StableDiffusionXLPipeline.from_pretrained(folder, torch_dtype=dtype, add_watermarker=False)
        self._pipeline.set_progress_bar_config(disable=True)
        if settings.get("COMPILE"):
            self._pipeline.unet.compile(mode=settings["COMPILE"])
            self._pipeline.vae.decoder.compile(mode=settings["COMPILE"])

    def draw(self, request: Request, on_step: OnStep | None = None) -> Pixels:
        """A picture (edge, edge, 3). `on_step` gets the latents after each step, and returns whether to stop."""

        def on_step_end(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            pipeline._interrupt = on_step is not None and on_step(tensors["latents"])
            return tensors

        images = self._pipeline(
            request.prompt,
            width=request.edge,
            height=request.edge,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance,
            generator=torch.Generator().manual_seed(request.seed),
            callback_on_step_end=on_step_end if on_step else None,
        ).images
        return np.asarray(images[0])

    def decode(self, latents: Any) -> Pixels:
        """Latents (1, 4, edge / 8, edge / 8) to a picture, as the pipeline itself decodes them."""
        vae = self._pipeline.vae
        with torch.inference_mode():
            raw = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor, return_dict=False)[0]
        return np.asarray(self._pipeline.image_processor.postprocess(raw)[0])
