"""Builds small checkpoints of the real SDXL classes, with random weights, and exports them with Optimum Intel.

Each kind is a row of KINDS. A folder is built once a machine, in SAFELIGHT_TEST_MODELS, or .models/ of the checkout.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

ROOT = Path(os.environ.get("SAFELIGHT_TEST_MODELS", Path(__file__).parents[2] / ".models"))

EULER: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "sample_max_value": 1.0,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "trained_betas": None,
    "use_karras_sigmas": False,
}
LCM = EULER | {"_class_name": "LCMScheduler", "original_inference_steps": 50, "timestep_scaling": 10.0}
ZERO_SNR = EULER | {"prediction_type": "v_prediction", "timestep_spacing": "trailing", "rescale_betas_zero_snr": True}

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

KINDS: dict[str, dict[str, Any]] = {
    "base": {"unet": UNET, "scheduler": EULER, "tiny_vae": True},
    "zero_snr": {"unet": VEGA_UNET | {"in_channels": 4}, "scheduler": ZERO_SNR, "seed": 2},
    "vega_lcm": {"unet": VEGA_UNET | {"time_cond_proj_dim": 16}, "scheduler": LCM, "seed": 3},
    "refiner": {"unet": UNET | {"attention_head_dim": (4, 8)}, "scheduler": EULER, "refiner": True, "seed": 4},
    "inpaint": {
        "unet": UNET | {"in_channels": 9},
        "scheduler": EULER,
        "class": StableDiffusionXLInpaintPipeline,
        "seed": 5,
    },
}


def folder(kind: str) -> Path:
    """The exported folder of a kind, built now if this machine has none yet."""
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    final = ROOT / f"{kind}-{digest}"
    if not final.is_dir():
        aside = ROOT / f".{kind}-{os.getpid()}"
        shutil.rmtree(aside, ignore_errors=True)
        _export(kind, aside)
        aside.rename(final)
    return final


def _export(kind: str, target: Path) -> None:
    from optimum.exporters.openvino import main_export

    spec = KINDS[kind]
    checkpoint = target / "checkpoint"
    _pipeline(spec, target).save_pretrained(checkpoint)
    task = "image-to-image" if spec.get("refiner") else "inpainting" if "class" in spec else "text-to-image"
    main_export(str(checkpoint), output=target / "export", task=task, library_name="diffusers")
    if spec.get("tiny_vae"):
        _export_tiny_vae(target / "export" / "vae_tiny_decoder")
    shutil.rmtree(checkpoint)
    for path in (target / "export").iterdir():
        path.rename(target / path.name)
    (target / "export").rmdir()


def _pipeline(spec: dict[str, Any], scratch: Path) -> Any:
    torch.manual_seed(spec.get("seed", 1))
    refiner = spec.get("refiner", False)
    encoder, encoder_2 = _text_encoder(32), _text_encoder(48, projection=40)
    time_ids, width = (5, 48) if refiner else (6, 32 + 48)
    unet = UNet2DConditionModel(
        cross_attention_dim=width,
        addition_embed_type="text_time",
        projection_class_embeddings_input_dim=40 + time_ids * spec["unet"]["addition_time_embed_dim"],
        use_linear_projection=True,
        **spec["unet"],
    )
    torch.manual_seed(0)  # one VAE for all, as SDXL, its refiner and Vega share theirs
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=128,
        scaling_factor=0.13025,
    )
    tokenizer = _tokenizer(scratch, pad="<|endoftext|>")
    common = {
        "vae": vae,
        "unet": unet,
        "scheduler": getattr(diffusers, spec["scheduler"]["_class_name"]).from_config(spec["scheduler"]),
        "tokenizer_2": _tokenizer(scratch, pad="!"),
        "text_encoder_2": encoder_2,
    }
    if refiner:
        return StableDiffusionXLImg2ImgPipeline(
            tokenizer=None,
            text_encoder=None,
            requires_aesthetics_score=True,
            force_zeros_for_empty_prompt=False,
            **common,
        )
    return spec.get("class", StableDiffusionXLPipeline)(tokenizer=tokenizer, text_encoder=encoder, **common)


def _text_encoder(width: int, projection: int | None = None) -> Any:
    config = CLIPTextConfig(
        vocab_size=len(_vocabulary()[0]),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=4,
        projection_dim=projection or width,
        hidden_act="gelu" if projection else "quick_gelu",
        bos_token_id=len(_vocabulary()[0]) - 2,
        eos_token_id=len(_vocabulary()[0]) - 1,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def _vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A cut-down CLIP vocabulary: every byte, alone and at a word's end, some merges, the two special tokens."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    merges = [
        ("a", "p"),
        ("p", "l"),
        ("ap", "pl"),
        ("appl", "e</w>"),
        ("r", "e"),
        ("re", "d</w>"),
        ("c", "a"),
        ("ca", "t</w>"),
    ]
    words = letters + [letter + "</w>" for letter in letters] + [a + b for a, b in merges]
    return {word: i for i, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}, merges


def _tokenizer(scratch: Path, pad: str) -> Any:
    vocabulary, merges = _vocabulary()
    return CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=pad, model_max_length=77)


def _export_tiny_vae(target: Path) -> None:
    import openvino as ov

    torch.manual_seed(7)
    vae = AutoencoderTiny(encoder_block_out_channels=(16,) * 4, decoder_block_out_channels=(16,) * 4).eval()
    target.mkdir()

    class Decode(torch.nn.Module):  # type: ignore[misc]
        def forward(self, latent_sample: torch.Tensor) -> torch.Tensor:
            return vae.decoder(latent_sample)

    wrapped = Decode()
    wrapped.vae = vae  # keeps its weights in the traced graph
    model = ov.convert_model(
        wrapped, example_input=torch.zeros(1, 4, 16, 16), input=[("latent_sample", [-1, 4, -1, -1])]
    )
    model.outputs[0].get_tensor().set_names({"sample"})
    ov.save_model(model, target / "openvino_model.xml")
    vae.save_config(target)


if __name__ == "__main__":
    for name in sys.argv[1:] or KINDS:
        print(folder(name))
