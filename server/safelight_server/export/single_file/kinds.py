"""What a file of weights is, told by the names in it; and in one line why it cannot be exported."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from safelight_server.errors import LoadError

UNET, VAE = "model.diffusion_model.", ("first_stage_model.", "vae.")
FIRST, SECOND = "conditioner.embedders.0.", "conditioner.embedders.1."
CLIP, OPEN_CLIP = "transformer.text_model.", "model."

# Names that tell what a file is, and what its owner can do; the first that is found counts.
OTHERS: tuple[tuple[str, str], ...] = (
    (
        r"lora_(unet|te\d?)_|.*(\.lora[._](up|down|A|B)\b|lora_(up|down|A|B)\.|\.hada_w|\.lokr_w)",
        "is a LoRA: give a checkpoint, and this file with --lora",
    ),
    (r"cond_stage_model\.", "is a checkpoint of Stable Diffusion 1 or 2; only SDXL's kind can be exported"),
    (r"(model\.diffusion_model\.)?double_blocks\.", "is a checkpoint of FLUX's kind; only SDXL's kind can be exported"),
    (
        r"(model\.diffusion_model\.)?joint_blocks\.",
        "is a checkpoint of Stable Diffusion 3; only SDXL's kind can be exported",
    ),
    (r"control_model\.|controlnet_|input_hint_block", "is a ControlNet, not a checkpoint"),
    (r"down_blocks\.|mid_block\.", "holds the UNet alone: give the folder that has model_index.json"),
    (r"text_model\.", "holds a text encoder alone: give the folder that has model_index.json"),
    (r"emb_params|string_to_param|clip_[lg]$", "is an embedding, not a checkpoint"),
    (r"((first_stage_model|vae)\.)?(encoder|decoder)\.", "holds a VAE alone: give a checkpoint, and this with --vae"),
)


def check(path: Path, names: Iterable[str]) -> None:
    """Raises LoadError, one line, for a file that holds no UNet of SDXL's kind, or no text encoders."""
    names = list(names)
    if any(name.startswith(UNET) for name in names) and any(name.startswith(FIRST) for name in names):
        return
    for pattern, why in OTHERS:
        if any(re.match(pattern, name) for name in names):
            raise LoadError(f"{path}: {why}")
    if any(name.startswith(UNET) for name in names):
        raise LoadError(f"{path}: holds no text encoders ({FIRST}*), which a whole checkpoint has")
    raise LoadError(f"{path}: is no checkpoint of SDXL's kind: it holds no UNet ({UNET}*)")
