"""Writes a pipeline of diffusers as one file under the names of the original code: as sd_xl_base_1.0.safetensors is.

The tables are the inverse of what diffusers reads, written from the modules of the original code (sgm, ldm, open_clip).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

Weights = dict[str, torch.Tensor]
Rules = tuple[tuple[str, str], ...]

RESNET: Rules = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("time_emb_proj", "emb_layers.1"),
    ("conv_shortcut", "skip_connection"),
)
OUTER: Rules = (
    ("time_embedding.linear_1", "time_embed.0"),
    ("time_embedding.linear_2", "time_embed.2"),
    ("add_embedding.linear_1", "label_emb.0.0"),
    ("add_embedding.linear_2", "label_emb.0.2"),
    ("conv_in", "input_blocks.0.0"),
    ("conv_norm_out", "out.0"),
    ("conv_out", "out.2"),
)
VAE: Rules = (
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_(q|k|v)", r"mid.attn_1.\1"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block."),
    (r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample"),
    ("conv_norm_out", "norm_out"),
    ("conv_shortcut", "nin_shortcut"),
)
OPEN_CLIP: Rules = (
    (r"^text_model\.embeddings\.token_embedding", "token_embedding"),
    (r"^text_model\.embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^text_model\.final_layer_norm", "ln_final"),
    (r"^text_model\.encoder\.layers\.", "transformer.resblocks."),
    (r"layer_norm1", "ln_1"),
    (r"layer_norm2", "ln_2"),
    (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"),
    (r"self_attn\.out_proj", "attn.out_proj"),
)


def write(pipe: Any, path: Path, metadata: Mapping[str, str] | None = None, **more: torch.Tensor) -> Path:
    """Writes the file, with `more` keys in it, and returns its path. The suffix .ckpt makes it a pickle."""
    state = weights(pipe) | more
    if path.suffix == ".ckpt":
        torch.save({"state_dict": state, "global_step": 7}, path)
    else:
        save_file(state, path, metadata=dict(metadata or {}))
    return path


def weights(pipe: Any) -> Weights:
    """All weights, under the names of the original code."""
    state = {f"model.diffusion_model.{name}": value for name, value in unet(pipe.unet)}
    state |= {f"first_stage_model.{name}": value for name, value in vae(pipe.vae)}
    second = 0
    if pipe.text_encoder is not None:
        start, second = "conditioner.embedders.0.transformer.", 1
        state |= {f"{start}{name}": value for name, value in pipe.text_encoder.state_dict().items()}
        state[f"{start}text_model.embeddings.position_ids"] = torch.arange(77)[None]
    state |= {f"conditioner.embedders.{second}.model.{name}": value for name, value in open_clip(pipe.text_encoder_2)}
    state["denoiser.sigmas"] = torch.linspace(0.03, 14.6, 1000)
    return {name: value.clone().contiguous() for name, value in state.items()}


def unet(module: Any) -> Iterator[tuple[str, torch.Tensor]]:
    layers = module.config.layers_per_block
    last = len(module.config.block_out_channels) - 1
    for name, value in module.state_dict().items():
        kind, *rest = name.split(".")
        if kind not in ("down_blocks", "mid_block", "up_blocks"):
            yield _renamed(name, OUTER), value
        elif kind == "mid_block":
            place = 2 * int(rest[1]) + (rest[0] == "attentions")
            yield f"middle_block.{place}.{_inner(rest)}", value
        elif kind == "down_blocks":
            level, what, number = int(rest[0]), rest[1], int(rest[2])
            block = 1 + level * (layers + 1) + (layers if what == "downsamplers" else number)
            inner = f"0.op.{rest[-1]}" if what == "downsamplers" else f"{int(what == 'attentions')}.{_inner(rest[1:])}"
            yield f"input_blocks.{block}.{inner}", value
        else:
            level, what, number = int(rest[0]), rest[1], int(rest[2])
            block = level * (layers + 1) + (layers if what == "upsamplers" else number)
            attends = module.config.up_block_types[level].startswith("Cross")
            assert what != "upsamplers" or level < last
            inner = (
                f"{1 + attends}.conv.{rest[-1]}"
                if what == "upsamplers"
                else f"{int(what == 'attentions')}.{_inner(rest[1:])}"
            )
            yield f"output_blocks.{block}.{inner}", value


def _inner(rest: list[str]) -> str:
    """The name inside a resnet or a transformer: the original code names the former's layers otherwise."""
    what, inner = rest[0], ".".join(rest[2:])
    return _renamed(inner, RESNET) if what == "resnets" else inner


def vae(module: Any) -> Iterator[tuple[str, torch.Tensor]]:
    last = len(module.config.block_out_channels) - 1
    for name, value in module.state_dict().items():
        renamed = _renamed(name, VAE)
        renamed = re.sub(r"up_blocks\.(\d+)\.resnets\.", lambda m: f"up.{last - int(m[1])}.block.", renamed)
        renamed = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{last - int(m[1])}.upsample", renamed)
        is_matrix = ".attn_1." in renamed and renamed.endswith("weight") and value.ndim == 2
        yield renamed, value[:, :, None, None] if is_matrix else value  # convolutions of one pixel, there


def open_clip(module: Any) -> Iterator[tuple[str, torch.Tensor]]:
    state = module.state_dict()
    for name, value in state.items():
        if name == "text_projection.weight":
            yield "text_projection", value.T
        elif ".q_proj." in name:
            joined = torch.cat([state[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"])
            yield _renamed(name, OPEN_CLIP).replace("self_attn.q_proj.", "attn.in_proj_"), joined
        elif not re.search(r"\.[kv]_proj\.", name):
            yield _renamed(name, OPEN_CLIP), value
    yield "logit_scale", torch.tensor(4.6)


def _renamed(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
