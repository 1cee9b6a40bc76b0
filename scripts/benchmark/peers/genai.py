"""openvino-genai's Text2ImagePipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov
import openvino_genai as genai
from safelight_server.samplers import noise

from benchmark.request import Request

Pixels = npt.NDArray[np.uint8]
Latents = npt.NDArray[np.float32]
OnStep = Callable[[Latents], bool]


class Noise(genai.Generator):  # type: ignore[misc] # mypy is not shown it
    """The random numbers of torch for a seed, in place of its own: pictures can be held against each other."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed, self._position = seed, 0

    def next(self) -> float:
        raise NotImplementedError("only whole tensors are asked for")

    def randn_tensor(self, shape: ov.Shape) -> ov.Tensor:
        values, self._position = noise.randn(self._seed, self._position, tuple(shape))
        return ov.Tensor(values)


class Pipeline:
    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self._pipeline = genai.Text2ImagePipeline(str(folder), "CPU", **settings)

    def draw(self, request: Request, on_step: OnStep | None = None) -> Pixels:
        """A picture (edge, edge, 3). `on_step` gets the latents after each step, and returns whether to stop."""
        options = {}
        if on_step:
            options["callback"] = lambda step, steps, latents: on_step(latents.data)
        images = self._pipeline.generate(
            request.prompt,
            width=request.edge,
            height=request.edge,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance,
            generator=Noise(request.seed),
            **options,
        )
        drawn: list[Pixels] = list(images.data) if images.data.ndim else []  # a picture that was stopped is empty
        return drawn[0] if drawn else np.empty((0, 0, 3), np.uint8)

    def decode(self, latents: Latents) -> Pixels:
        """Latents (1, 4, edge / 8, edge / 8) to a picture."""
        pixels: list[Pixels] = list(self._pipeline.decode(ov.Tensor(latents)).data)
        return pixels[0]
