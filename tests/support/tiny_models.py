"""Small models of the real SDXL classes, with random weights, as rows of MODELS; and the folders of their exports.

A folder is built once a machine, in SAFELIGHT_TEST_MODELS or .models/ of the checkout. Nothing heavy is imported for
one that is there. Usage: python -m support.tiny_models [NAME ...] prints the folders.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from support import once, scheduler_configs
from support.scheduler_configs import SDXL

ROOT = Path(os.environ.get("SAFELIGHT_TEST_MODELS", Path(__file__).parents[2] / ".models"))
BUILDER = Path(__file__).with_name("tiny_pipelines.py")

LCM = SDXL | {"_class_name": "LCMScheduler", "original_inference_steps": 50, "timestep_scaling": 10.0}
ZERO_SNR = SDXL | scheduler_configs.ZERO_SNR

UNET: dict[str, Any] = {
    "sample_size": 16,
    "block_out_channels": (32, 64),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "transformer_layers_per_block": (1, 1),
    "attention_head_dim": (2, 4),
    "norm_num_groups": 8,
    "addition_time_embed_dim": 8,
}
# Vega's own shape: three levels, a middle block with no attention.
VEGA_UNET = UNET | {
    "sample_size": 24,
    "block_out_channels": (16, 32, 64),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "mid_block_type": "UNetMidBlock2D",
    "layers_per_block": 2,
    "transformer_layers_per_block": (1, 1, 2),
    "attention_head_dim": (2, 4, 8),
}

MODELS: dict[str, dict[str, Any]] = {
    "base": {"unet": UNET, "scheduler": SDXL, "tiny_vae": True},
    "zero_snr": {"unet": VEGA_UNET | {"in_channels": 4}, "scheduler": ZERO_SNR, "seed": 2},
    "vega_lcm": {"unet": VEGA_UNET | {"time_cond_proj_dim": 16}, "scheduler": LCM, "seed": 3},
    "refiner": {"unet": UNET | {"attention_head_dim": (4, 8)}, "scheduler": SDXL, "refiner": True, "seed": 4},
    "inpaint": {
        "unet": UNET | {"in_channels": 9},
        "scheduler": SDXL,
        "class": "StableDiffusionXLInpaintPipeline",
        "seed": 5,
    },
}


def folder(name: str) -> Path:
    """The exported folder of a model, built now if this machine has none yet.

    It is built anew when the model's row changes, or what builds it.
    """
    row = json.dumps(MODELS[name], sort_keys=True).encode()
    final = ROOT / f"{name}-{hashlib.sha256(row + BUILDER.read_bytes()).hexdigest()[:12]}"
    return once.made(final, partial(_export, name))


def _export(name: str, folder: Path) -> None:
    from support import tiny_pipelines

    tiny_pipelines.export(MODELS[name], folder)


if __name__ == "__main__":
    # All in one turn: two processes that built them in turns would import torch twice.
    with once.turn(ROOT / ".lock"):
        for name in sys.argv[1:] or MODELS:
            print(folder(name))
