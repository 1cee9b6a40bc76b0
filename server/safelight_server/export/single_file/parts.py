"""The configurations of the text encoders and the VAE, told by the shapes of their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import tokenizer
from .unet import HEAD

Shapes = Mapping[str, tuple[int, ...]]
SCALING = {False: 0.13025, True: 0.5}  # of the latents: SDXL's, and Playground v2.5's


def clip(shapes: Shapes) -> dict[str, Any]:
    """The config.json of CLIP ViT-L's text encoder, whose names begin with transformer.text_model.

    Raises ValueError or LookupError for another.
    """
    start = "transformer.text_model."
    words, width = shapes[f"{start}embeddings.token_embedding.weight"]
    layer = f"{start}encoder.layers."
    layers = {name[len(layer) :].partition(".")[0] for name in shapes if name.startswith(layer)}
    inner = shapes[f"{layer}0.mlp.fc1.weight"][0]
    return _text("CLIPTextModel", words, width, inner, len(layers)) | {"hidden_act": "quick_gelu"}


def open_clip(shapes: Shapes) -> dict[str, Any]:
    """The config.json of OpenCLIP ViT-bigG's text encoder, whose names begin with model.

    Raises ValueError or LookupError for another.
    """
    words, width = shapes["model.token_embedding.weight"]
    block = "model.transformer.resblocks."
    layers = {name[len(block) :].partition(".")[0] for name in shapes if name.startswith(block)}
    inner = shapes[f"{block}0.mlp.c_fc.weight"][0]
    kind = "CLIPTextModelWithProjection"
    projection = shapes["model.text_projection"][1]
    return _text(kind, words, width, inner, len(layers)) | {"hidden_act": "gelu", "projection_dim": projection}


def _text(kind: str, words: int, width: int, inner: int, layers: int) -> dict[str, Any]:
    if words != tokenizer.SIZE:
        raise ValueError(f"must know the {tokenizer.SIZE} tokens of CLIP, not {words}")
    if width % HEAD:
        raise ValueError(f"must be a multiple of {HEAD} wide, not {width}")
    return {
        "architectures": [kind],
        "model_type": "clip_text_model",
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": width // HEAD,
        "projection_dim": width,
        "max_position_embeddings": 77,
        # As the models on the hub have them: with an end of 2, transformers looks for the highest token instead.
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }


def vae(shapes: Shapes, edm: bool) -> dict[str, Any]:
    """The config.json of an AutoencoderKL, for names without a prefix. `edm`: its latents have a mean and a deviation.

    Raises ValueError or LookupError for another.
    """
    levels = sorted({int(name.split(".")[2]) for name in shapes if name.startswith("encoder.down.")})
    blocks = {name.split(".")[4] for name in shapes if name.startswith("encoder.down.0.block.")}
    widths = [shapes[f"encoder.down.{level}.block.0.conv1.weight"][0] for level in levels]
    if any(width % 32 for width in widths):
        raise ValueError(f"the channels of a level must be a multiple of 32, not {widths}")
    return {
        "_class_name": "AutoencoderKL",
        "sample_size": 1024,
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "block_out_channels": widths,
        "layers_per_block": len(blocks),
        "down_block_types": ["DownEncoderBlock2D"] * len(levels),
        "up_block_types": ["UpDecoderBlock2D"] * len(levels),
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
        "scaling_factor": SCALING[edm],
        "force_upcast": True,
    }
