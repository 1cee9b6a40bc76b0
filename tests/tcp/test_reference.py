"""Holds our pictures against diffusers on optimum-intel: same folder, prompt, seed and settings, in f32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from support import diffusers_peer
from support.diffusers_peer import Fields
from support.pictures import mask, picture, pixels

pytestmark = pytest.mark.filterwarnings("ignore")  # the peers' own

WORDS: Fields = {"prompt": "a red apple, on a blue table", "steps": 6, "seed": 7, "width": 128, "height": 128}
SIZES: Fields = {
    "original": {"width": 700, "height": 500},
    "crop": {"x": 32, "y": 8},
    "target": {"width": 96, "height": 160},
    "negative_original": {"width": 64, "height": 32},
    "negative_crop": {"x": 5, "y": 3},
    "negative_target": {"width": 128, "height": 256},
}

GENERATE: dict[str, tuple[str, Fields]] = {
    "square": ("base", {}),
    "wide": ("base", {"width": 200, "height": 88}),
    "tall, odd latents": ("base", {"width": 72, "height": 136}),
    "guidance 1": ("base", {"guidance_scale": 1.0}),
    "guidance 0": ("base", {"guidance_scale": 0.0}),
    "guidance 9, rescaled": ("base", {"guidance_scale": 9.0, "guidance_rescale": 0.7}),
    "negative": ("base", {"negative_prompt": "a cat"}),
    "empty negative": ("base", {"negative_prompt": ""}),
    "both encoders": ("base", {"prompt_2": "red", "negative_prompt": "cat", "negative_prompt_2": "a pale apple"}),
    "long prompt": ("base", {"prompt": "an apple beside a red cat and " * 12}),
    "unicode": ("base", {"prompt": "Äpfel  和 🍎 'tis\n"}),
    "sizes": ("base", {"size_conditioning": SIZES}),
    "one step": ("base", {"steps": 1}),
    "euler, karras": ("base", {"scheduler": "euler", "scheduler_options": {"use_karras_sigmas": True}}),
    "euler, linspace": ("base", {"scheduler_options": {"timestep_spacing": "linspace"}}),
    "euler, trailing": ("base", {"scheduler_options": {"timestep_spacing": "trailing"}}),
    "euler_ancestral": ("base", {"scheduler": "euler_ancestral"}),
    "dpmpp_2m": ("base", {"scheduler": "dpmpp_2m", "steps": 9}),
    "dpmpp_2m_karras": ("base", {"scheduler": "dpmpp_2m_karras", "steps": 16}),
    "heun": ("base", {"scheduler": "heun", "steps": 5}),
    "kdpm2_ancestral": ("base", {"scheduler": "kdpm2_ancestral", "steps": 5}),
    "unipc": ("base", {"scheduler": "unipc"}),
    "pndm": ("base", {"scheduler": "pndm"}),
    "ddim": ("base", {"scheduler": "ddim"}),
    "lcm": ("base", {"scheduler": "lcm", "steps": 4, "guidance_scale": 1.0}),
    "v-prediction, zero snr": ("zero_snr", {"width": 192, "height": 120}),
    "v-prediction, zero snr, ddim": ("zero_snr", {"scheduler": "ddim"}),
    "vega lcm": ("vega_lcm", {"steps": 4, "guidance_scale": 1.0}),
    "vega lcm, embedded guidance": ("vega_lcm", {"steps": 4, "guidance_scale": 6.5}),
}
REFINE: dict[str, tuple[str, Fields]] = {
    "image to image": ("base", {}),
    "strength 0.6": ("base", {"strength": 0.6}),
    "strength 1": ("base", {"strength": 1.0}),
    "ancestral": ("base", {"strength": 0.7, "scheduler": "euler_ancestral"}),
    "ddim": ("base", {"strength": 0.5, "scheduler": "ddim"}),
    "dpmpp_2m": ("base", {"strength": 0.8, "scheduler": "dpmpp_2m", "steps": 12}),
    "heun": ("base", {"strength": 0.6, "scheduler": "heun", "steps": 8}),
    "unipc": ("base", {"strength": 0.6, "scheduler": "unipc"}),
    "lcm": ("vega_lcm", {"strength": 0.5, "steps": 8, "guidance_scale": 1.0}),
    "refiner": ("refiner", {"strength": 0.5}),
    "refiner, aesthetic": (
        "refiner",
        {"strength": 0.4, "size_conditioning": {**SIZES, "aesthetic_score": 7.5, "negative_aesthetic_score": 1.0}},
    ),
    "base, sizes": ("base", {"strength": 0.5, "size_conditioning": SIZES}),
    "zero snr": ("zero_snr", {"strength": 0.5}),
    "resampled": ("base", {"width": 96, "height": 112, "strength": 0.5}),
}
INPAINT: dict[str, tuple[str, Fields]] = {
    "mask": ("base", {"strength": 0.7}),
    "mask, default strength": ("base", {}),
    "mask, strength 1": ("base", {"strength": 1.0}),
    "mask, ancestral": ("base", {"strength": 0.8, "scheduler": "euler_ancestral"}),
    "mask, dpmpp_2m": ("base", {"strength": 0.9, "scheduler": "dpmpp_2m", "steps": 10}),
    "mask, heun": ("base", {"strength": 0.6, "scheduler": "heun", "steps": 8}),
    "mask, kdpm2": ("base", {"strength": 0.6, "scheduler": "kdpm2", "steps": 8}),
    "nine channels": ("inpaint", {"strength": 0.7}),
    "nine channels, strength 1": ("inpaint", {"strength": 1.0}),
    "nine channels, ancestral": ("inpaint", {"strength": 1.0, "scheduler": "euler_ancestral"}),
}


@pytest.mark.parametrize("case", GENERATE)
def test_generate(case: str, stub: ImageServiceStub, folders: dict[str, str]) -> None:
    kind, fields = GENERATE[case]
    fields = WORDS | fields
    response = stub.Generate(pb.GenerateRequest(model=kind, **fields))
    near(pixels(response.images[0].data), diffusers_peer.drawn(folders[kind], "Pipeline", fields))


@pytest.mark.parametrize("case", REFINE)
def test_refine(case: str, stub: ImageServiceStub, folders: dict[str, str]) -> None:
    kind, fields = REFINE[case]
    fields = WORDS | {"image": picture(), "width": 136, "height": 104} | fields
    response = stub.Refine(pb.RefineRequest(model=kind, **fields))
    near(pixels(response.images[0].data), diffusers_peer.drawn(folders[kind], "Img2ImgPipeline", fields))


@pytest.mark.parametrize("case", INPAINT)
def test_inpaint(case: str, stub: ImageServiceStub, folders: dict[str, str]) -> None:
    kind, fields = INPAINT[case]
    fields = WORDS | {"image": picture(), "mask": mask(), "width": 136, "height": 104} | fields
    response = stub.Refine(pb.RefineRequest(model=kind, **fields))
    near(pixels(response.images[0].data), diffusers_peer.drawn(folders[kind], "InpaintPipeline", fields))


@pytest.mark.parametrize("handoff", [0.5, 0.8])
@pytest.mark.parametrize("scheduler", ["euler", "dpmpp_2m", "ddim", "heun"])
def test_handoff(handoff: float, scheduler: str, stub: ImageServiceStub, folders: dict[str, str]) -> None:
    """The ensemble of experts: denoising_end on the base, denoising_start on the refiner."""
    fields = WORDS | {"steps": 10, "scheduler": scheduler, "width": 120, "negative_prompt": "cat"}
    stage = pb.RefinerStage(model="refiner", handoff=handoff)
    response = stub.Generate(pb.GenerateRequest(model="base", refiner=stage, **fields))
    begun = diffusers_peer.drawn(folders["base"], "Pipeline", fields, denoising_end=handoff, output_type="latent")
    shared = {name: value for name, value in fields.items() if name not in ("width", "height")}
    finished = diffusers_peer.drawn(folders["refiner"], "Img2ImgPipeline", shared, denoising_start=handoff, image=begun)
    near(pixels(response.images[0].data), finished)


def near(ours: Any, theirs: Any) -> None:
    assert ours.shape == theirs.shape
    worst = np.abs(ours.astype(int) - theirs.astype(int)).max()
    assert worst <= 1, f"worst difference {worst}/255"
    assert theirs.std() > 5, "a flat picture would prove nothing"
