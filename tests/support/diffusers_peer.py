"""The same request to diffusers on optimum-intel: the pictures that ours are held against."""

from __future__ import annotations

from functools import cache
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from support.pictures import opened

Fields = dict[str, Any]  # of a request

SCHEDULERS: dict[str, Any] = {
    "euler": diffusers.EulerDiscreteScheduler,
    "euler_ancestral": diffusers.EulerAncestralDiscreteScheduler,
    "dpmpp_2m": diffusers.DPMSolverMultistepScheduler,
    "dpmpp_2m_karras": diffusers.DPMSolverMultistepScheduler,
    "heun": diffusers.HeunDiscreteScheduler,
    "kdpm2": diffusers.KDPM2DiscreteScheduler,
    "kdpm2_ancestral": diffusers.KDPM2AncestralDiscreteScheduler,
    "unipc": diffusers.UniPCMultistepScheduler,
    "pndm": diffusers.PNDMScheduler,
    "ddim": diffusers.DDIMScheduler,
    "lcm": diffusers.LCMScheduler,
}


def drawn(folder: str, pipeline: str, fields: Fields, **more: Any) -> Any:
    """What OVStableDiffusionXL`pipeline` draws, in f32: a uint8 picture, or the latents."""
    pipe = _loaded(folder, pipeline)
    kept = pipe.scheduler
    try:
        pipe.scheduler = _scheduler(kept, fields)
        out = pipe(**_arguments(fields), **more)
    finally:
        pipe.scheduler = kept
    return out.images if more.get("output_type") == "latent" else np.asarray(out.images[0])


@cache
def _loaded(folder: str, pipeline: str) -> Any:
    from optimum.intel.openvino import modeling_diffusion

    kind = getattr(modeling_diffusion, f"OVStableDiffusionXL{pipeline}")
    pipe = kind.from_pretrained(folder, ov_config={"INFERENCE_PRECISION_HINT": "f32"})
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _scheduler(configured: Any, fields: Fields) -> Any:
    name = fields.get("scheduler", "")
    options = dict(fields.get("scheduler_options", {}))
    if name.startswith("dpmpp"):
        options.setdefault("use_karras_sigmas", name.endswith("karras"))
    return SCHEDULERS.get(name, type(configured)).from_config(configured.config, **options)


def _arguments(fields: Fields) -> Fields:
    """A request's fields as diffusers names them."""
    kept = ("prompt", "prompt_2", "negative_prompt", "negative_prompt_2", "width", "height", "guidance_rescale")
    out: Fields = {name: fields[name] for name in kept if name in fields}
    out["num_inference_steps"] = fields["steps"]
    out["generator"] = torch.Generator().manual_seed(fields["seed"])
    out["guidance_scale"] = fields.get("guidance_scale", 5.0)
    for name, value in fields.get("size_conditioning", {}).items():
        if isinstance(value, float):
            out[name] = value
        elif "crop" in name:
            out[f"{name}s_coords_top_left"] = (value["y"], value["x"])
        else:
            out[f"{name}_size"] = (value["height"], value["width"])
    if "image" in fields:
        out["image"] = opened(fields["image"])
        out |= {"strength": fields["strength"]} if "strength" in fields else {}
        if "mask" in fields:
            out["mask_image"] = opened(fields["mask"])
        else:  # image to image takes its size from the picture
            size = out.pop("width"), out.pop("height")
            out["image"] = out["image"].resize(size, Image.Resampling.LANCZOS)
    return out
