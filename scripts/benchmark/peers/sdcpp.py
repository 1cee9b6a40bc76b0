"""stable-diffusion.cpp, by its Python binding: the weights of the single file, stored as it is told."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.request import Request

from .native import VARIABLE

Pixels = npt.NDArray[np.uint8]
SAMPLERS = {"LCMScheduler": ("lcm", "lcm"), "EulerDiscreteScheduler": ("euler", "discrete")}  # sampler, noise levels


class Pipeline:
    """`file` lies beside a folder of the same stem, which has the scheduler. Its noise is its own, not torch's."""

    def __init__(self, file: Path, settings: dict[str, str]) -> None:
        sys.path.append(os.environ[VARIABLE])  # last: what it brings must not take the place of what is here
        from stable_diffusion_cpp import StableDiffusion

        self._sampler, self._levels = SAMPLERS[scheduler(file)]
        threads = len(os.sched_getaffinity(0))
        self._model = StableDiffusion(str(file), wtype=settings["TYPE"], n_threads=threads, verbose=False)

    def draw(self, request: Request, on_step: Callable[[Any], bool] | None = None) -> Pixels:
        """A picture (edge, edge, 3). It cannot be stopped, nor shown on the way: ValueError for `on_step`."""
        if on_step is not None:
            raise ValueError("on_step must be None: stable-diffusion.cpp hands no latents out")
        images = self._model.generate_image(
            request.prompt,
            width=request.edge,
            height=request.edge,
            sample_steps=request.steps,
            cfg_scale=request.guidance,
            seed=request.seed,
            sample_method=self._sampler,
            scheduler=self._levels,
        )
        return np.asarray(images[0])


def scheduler(file: Path) -> str:
    """The class of diffusers' scheduler for this file."""
    config = json.loads((file.with_suffix("") / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    return str(config["_class_name"])
