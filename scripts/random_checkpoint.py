"""Writes a full-size checkpoint of SDXL's kind with random weights: for timing and measuring, not for drawing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from accelerate import init_empty_weights
from safetensors.torch import save_file
from tqdm import tqdm

UNET: dict[str, Any] = {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "projection_class_embeddings_input_dim": 2816,
    "sample_size": 128,
    "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "use_linear_projection": True,
}
REFINER = UNET | {
    "attention_head_dim": [6, 12, 24, 24],
    "block_out_channels": [384, 768, 1536, 1536],
    "cross_attention_dim": 1280,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "projection_class_embeddings_input_dim": 2560,
    "transformer_layers_per_block": 4,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
}
UNETS: dict[str, dict[str, Any]] = {
    "sdxl": UNET,
    "refiner": REFINER,
    "vega": UNET | {"transformer_layers_per_block": [1, 1, 2], "mid_block_type": "UNetMidBlock2D"},
}
VAE: dict[str, Any] = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "force_upcast": True,
    "latent_channels": 4,
    "layers_per_block": 2,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
SCHEDULER: dict[str, Any] = {
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "steps_offset": 1,
    "timestep_spacing": "leading",
}


def main() -> None:
    arguments = parser().parse_args()
    write(arguments.folder, arguments.kind, getattr(torch, arguments.dtype))


def write(folder: Path, kind: str, dtype: torch.dtype = torch.float16) -> None:
    """A diffusers folder, its weights in one file a component, as the hub has them."""
    folder.mkdir(parents=True)
    refiner = kind == "refiner"
    first = {"text_encoder": _text("CLIPTextModel", CLIP_L | {"hidden_act": "quick_gelu", "projection_dim": 768})}
    modules = {} if refiner else first
    modules["text_encoder_2"] = _text(
        "CLIPTextModelWithProjection", CLIP_G | {"hidden_act": "gelu", "projection_dim": 1280}
    )
    with init_empty_weights(include_buffers=False):
        modules["unet"] = diffusers.UNet2DConditionModel(**UNETS[kind])
        modules["vae"] = diffusers.AutoencoderKL(**VAE)
    for name, module in modules.items():
        _save(module, folder / name, dtype)
    diffusers.EulerDiscreteScheduler(**SCHEDULER).save_pretrained(folder / "scheduler")
    index = {name: [type(module).__module__.split(".")[0], type(module).__name__] for name, module in modules.items()}
    for name in (*(() if refiner else ("tokenizer",)), "tokenizer_2"):
        _tokenizer("!" if name == "tokenizer_2" else "<|endoftext|>").save_pretrained(folder / name)
        index[name] = ["transformers", "CLIPTokenizer"]
    index["scheduler"] = ["diffusers", "EulerDiscreteScheduler"]
    content = {
        "_class_name": "StableDiffusionXLImg2ImgPipeline" if refiner else "StableDiffusionXLPipeline",
        "force_zeros_for_empty_prompt": not refiner,
        "requires_aesthetics_score": refiner,
        **(index | ({"text_encoder": [None, None], "tokenizer": [None, None]} if refiner else {})),
    }
    (folder / "model_index.json").write_text(json.dumps(content, indent=2), encoding="utf-8")


def _text(name: str, shape: dict[str, Any]) -> Any:
    config = transformers.CLIPTextConfig(vocab_size=49408, bos_token_id=49406, eos_token_id=49407, **shape)
    with init_empty_weights(include_buffers=False):
        return getattr(transformers, name)(config)


def _save(module: Any, folder: Path, dtype: torch.dtype) -> None:
    """Weights of variance 1 / fan-in keep the size of the signal; biases are 0, norms 1."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, value in tqdm(module.state_dict().items(), desc=folder.name, unit="tensor"):
        weights = torch.zeros(value.shape, dtype=dtype)
        if value.ndim > 1:
            weights.normal_(0, value[0].numel() ** -0.5, generator=generator)
        elif name.endswith("weight"):
            weights.fill_(1)
        state[name] = weights
    folder.mkdir()
    transformer = folder.name.startswith("text")
    save_file(state, folder / ("model.safetensors" if transformer else "diffusion_pytorch_model.safetensors"))
    (module.config.save_pretrained if transformer else module.save_config)(folder)


def _tokenizer(pad: str) -> Any:
    """A CLIP tokenizer of letters alone, its two special tokens where CLIP has them."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    words = letters + [letter + "</w>" for letter in letters]
    words += [f"<unused{i}>" for i in range(49406 - len(words))] + ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], pad_token=pad, model_max_length=77)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="random_checkpoint", description=__doc__)
    top.add_argument("kind", choices=UNETS)
    top.add_argument("folder", type=Path)
    top.add_argument("--dtype", choices=("float16", "float32"), default="float16")
    return top


if __name__ == "__main__":
    main()
