"""The configuration of a UNet, told by the shapes of its weights: SDXL's, its refiner's, Vega's, and such."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]
HEAD = 64  # channels of an attention head: in every UNet of this kind, and no shape tells it
TIME_IDS = {True: 5, False: 6}  # numbers of the size conditioning, by whether it is a refiner
GROUPS = 32  # of the normalisations


def config(shapes: Shapes, pooled: int, refiner: bool) -> dict[str, Any]:
    """The config.json of diffusers, for weights under their original names without a prefix.

    `pooled`: the width of the pooled text. Raises ValueError or LookupError for another UNet than this kind's.
    """
    down, up = _down(shapes), _up(shapes)
    channels = [width for width, _ in down]
    layers = {len(depths) for _, depths in down}
    if len(layers) != 1:
        raise ValueError(f"each level must have as many layers, not {[len(depths) for _, depths in down]}")
    for width, depths in down:
        if width % GROUPS or (any(depths) and width % HEAD):
            raise ValueError(f"the channels of a level must be a multiple of {HEAD}, not {width}")
    added = shapes["label_emb.0.0.weight"][1]
    middle = _depth(shapes, "middle_block.1")
    return {
        "_class_name": "UNet2DConditionModel",
        "sample_size": 128,
        "in_channels": shapes["input_blocks.0.0.weight"][1],
        "out_channels": shapes["out.2.weight"][0],
        "block_out_channels": channels,
        "layers_per_block": layers.pop(),
        "down_block_types": ["CrossAttnDownBlock2D" if any(depths) else "DownBlock2D" for _, depths in down],
        "up_block_types": ["CrossAttnUpBlock2D" if any(depths) else "UpBlock2D" for _, depths in reversed(down)],
        "mid_block_type": _middle_type(shapes, middle),
        **_transformers([depths for _, depths in down], up, middle),
        "attention_head_dim": [max(1, width // HEAD) for width in channels],  # diffusers' name for the number of heads
        "cross_attention_dim": next(shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")),
        "use_linear_projection": all(len(shape) == 2 for name, shape in shapes.items() if "proj_in.weight" in name),
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": (added - pooled) // TIME_IDS[refiner],
        "projection_class_embeddings_input_dim": added,
    }


def _down(shapes: Shapes) -> list[tuple[int, list[int]]]:
    """Of each level its channels, and how deep the transformers of its layers are; 0: there is none."""
    levels: list[tuple[int, list[int]]] = [(0, [])]
    for block in range(1, _count(shapes, "input_blocks")):
        if f"input_blocks.{block}.0.op.weight" in shapes:
            levels.append((0, []))
            continue
        width = shapes[f"input_blocks.{block}.0.in_layers.2.weight"][0]
        levels[-1] = (width, [*levels[-1][1], _depth(shapes, f"input_blocks.{block}.1")])
    return levels


def _up(shapes: Shapes) -> list[int]:
    return [_depth(shapes, f"output_blocks.{block}.1") for block in range(_count(shapes, "output_blocks"))]


def _transformers(down: list[list[int]], up: list[int], middle: int) -> dict[str, Any]:
    """The depths, in the form of diffusers: a number a level where all its layers are as deep."""
    layers = len(down[0]) + 1
    ups = [up[begin : begin + layers] for begin in range(0, len(up), layers)]
    first, last = [_same(depths) for depths in down], [_same(depths) for depths in ups]
    if middle and first[-1] not in (middle, 0):
        raise ValueError(f"the middle block must be as deep as the last level, {first[-1]}, not {middle}")
    first[-1] = middle or first[-1]  # diffusers takes the depth of the middle block from the last level
    first, last = [depth or 1 for depth in first], [depth or 1 for depth in last]
    plain = all(isinstance(depth, int) for depth in first)
    same = all(a == b or not any(depths) for a, b, depths in zip(reversed(first), last, ups, strict=True))
    reverse = {} if plain and same else {"reverse_transformer_layers_per_block": last}
    return {"transformer_layers_per_block": first, **reverse}


def _same(depths: list[int]) -> Any:
    return depths[0] if len(set(depths)) == 1 else depths


def _middle_type(shapes: Shapes, depth: int) -> str | None:
    if depth:
        return "UNetMidBlock2DCrossAttn"
    return "UNetMidBlock2D" if any(name.startswith("middle_block.") for name in shapes) else None


def _depth(shapes: Shapes, block: str) -> int:
    """How many transformer blocks the transformer of this name has."""
    return _count(shapes, f"{block}.transformer_blocks")


def _count(shapes: Shapes, prefix: str) -> int:
    """How many modules are numbered below `prefix`, from 0 on."""
    start = f"{prefix}."
    numbers = {name[len(start) :].partition(".")[0] for name in shapes if name.startswith(start)}
    return len(numbers)
