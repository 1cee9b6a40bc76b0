"""Writes small checkpoints of the real classes as the hub has them, a LoRA, and the pictures of diffusers in f32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, LCMScheduler, StableDiffusionXLPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image

from support.tiny_models import MODELS
from support.tiny_pipelines import pipeline

PROMPT = "a red apple"
SEED = 7
CASES: dict[str, dict[str, Any]] = {
    "base": {"num_inference_steps": 5, "guidance_scale": 5.0, "width": 96, "height": 64},
    "vega": {"num_inference_steps": 4, "guidance_scale": 1.0, "width": 192, "height": 128},
    "refiner": {"num_inference_steps": 8, "guidance_scale": 5.0, "strength": 0.5},
}
LORA_LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.2", "conv1", "conv_shortcut", "time_emb_proj"]


def write(folder: Path) -> None:
    """Writes for each row of CASES NAME, a checkpoint, and NAME.npy, its picture; and a LoRA and a tiny VAE."""
    for name, settings in CASES.items():
        spec = MODELS["vega_lcm" if name == "vega" else name]
        unet = {key: value for key, value in spec["unet"].items() if key != "time_cond_proj_dim"}
        pipe = pipeline(spec | {"unet": unet})
        pipe.save_pretrained(folder / name)
        if name == "vega":
            pipe = fuse(pipe, folder / "lora.safetensors", pipe.unet)
        np.save(folder / f"{name}.npy", draw(pipe, settings))
    tiny = AutoencoderTiny(encoder_block_out_channels=(16,) * 4, decoder_block_out_channels=(16,) * 4)
    tiny.save_pretrained(folder / "tiny")


def draw(pipe: Any, settings: dict[str, Any]) -> np.ndarray:
    pipe.set_progress_bar_config(disable=True)
    more = {"image": picture()} if "strength" in settings else {}
    generator = torch.Generator().manual_seed(SEED)
    return np.asarray(pipe(prompt=PROMPT, generator=generator, **settings, **more).images[0])


def picture() -> Image.Image:
    y, x = np.mgrid[0:64, 0:96]
    waves = np.stack([np.sin(x / 19), np.cos(y / 13), np.sin((x + y) / 31)], axis=-1)
    return Image.fromarray((waves * 100 + 128).astype(np.uint8))


def fuse(pipe: Any, path: Path, unet: Any) -> Any:
    """As the notebook of VegaRT does it: LCM's scheduler, the LoRA loaded, the LoRA fused."""
    lora(unet, path)
    pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
    pipe.load_lora_weights(path.parent, weight_name=path.name)
    pipe.fuse_lora()
    return pipe


def lora(unet: Any, path: Path) -> None:
    """A LoRA of some strength for this UNet, as diffusers saves it."""
    torch.manual_seed(11)
    unet.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=LORA_LAYERS, init_lora_weights=False))
    layers = {name: value * 0.3 for name, value in get_peft_model_state_dict(unet).items()}
    StableDiffusionXLPipeline.save_lora_weights(path.parent, unet_lora_layers=layers, weight_name=path.name)
    unet.unload_lora()
