"""Small pipelines that a single file can hold: heads of 64 channels, groups of 32, and CLIP's whole vocabulary."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch
from safelight_server.export.single_file import tokenizer
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from support.scheduler_configs import SDXL

UNET: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (32, 64),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "transformer_layers_per_block": (1, 2),
    "attention_head_dim": (1, 1),
    "addition_time_embed_dim": 8,
}
THREE = {
    "block_out_channels": (32, 64, 128),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (1, 1, 2),
}
KINDS: dict[str, dict[str, Any]] = {
    "base": UNET,
    # Vega's shape, and SSD-1B's, whose layers of one level are not equally deep on the way up.
    "vega": UNET
    | THREE
    | {"layers_per_block": 2, "transformer_layers_per_block": (1, 1, 2), "mid_block_type": "UNetMidBlock2D"},
    "ssd": UNET
    | THREE
    | {
        "layers_per_block": 2,
        "transformer_layers_per_block": (1, 1, 2),
        "reverse_transformer_layers_per_block": ((2, 2, 3), (2, 1, 1), 1),
        "mid_block_type": "UNetMidBlock2D",
    },
    "refiner": UNET
    | THREE
    | {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 2),
    },
    "inpaint": UNET | {"in_channels": 9},
}
CLASSES = {
    "refiner": diffusers.StableDiffusionXLImg2ImgPipeline,
    "inpaint": diffusers.StableDiffusionXLInpaintPipeline,
}


def pipeline(kind: str, tokenizers: Path) -> Any:
    """The pipeline of a row of KINDS. Its tokenizers are written to `tokenizers`."""
    torch.manual_seed(sorted(KINDS).index(kind))
    refiner = kind == "refiner"
    first, second = (None if refiner else _text(64)), _text(128, projection=64)
    width = 128 if refiner else 64 + 128
    unet = diffusers.UNet2DConditionModel(
        cross_attention_dim=width,
        addition_embed_type="text_time",
        projection_class_embeddings_input_dim=64 + (5 if refiner else 6) * 8,
        use_linear_projection=True,
        **KINDS[kind],
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(32, 32, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        layers_per_block=1,
        sample_size=1024,
        scaling_factor=0.13025,
    )
    flags = {"requires_aesthetics_score": True, "force_zeros_for_empty_prompt": False} if refiner else {}
    return CLASSES.get(kind, diffusers.StableDiffusionXLPipeline)(
        unet=unet.eval(),
        vae=vae.eval(),
        text_encoder=first,
        text_encoder_2=second,
        tokenizer=None if refiner else _tokenizer("tokenizer", tokenizers),
        tokenizer_2=_tokenizer("tokenizer_2", tokenizers),
        scheduler=diffusers.EulerDiscreteScheduler.from_config(SDXL),
        **flags,
    )


@cache
def _text(width: int, projection: int | None = None) -> Any:
    config = CLIPTextConfig(
        vocab_size=tokenizer.SIZE,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=width // 64,
        projection_dim=projection or width,
        hidden_act="gelu" if projection else "quick_gelu",
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def _tokenizer(name: str, folder: Path) -> Any:
    for path, content in tokenizer.files(name).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return CLIPTokenizer.from_pretrained(folder / name)
