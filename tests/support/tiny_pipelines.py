"""Builds the pipelines of tests/support/tiny_models.py on torch, and exports them with Optimum Intel."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import diffusers
import safelight_server  # noqa: F401 - before openvino, which then sends no reports of its use: it forks for each
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionXLImg2ImgPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer


def export(spec: dict[str, Any], target: Path) -> None:
    """Writes the folder of a row of MODELS, as Optimum Intel exports it."""
    from optimum.exporters.openvino import main_export

    from support.exports import quick_and_quiet

    checkpoint = target / "checkpoint"
    pipeline(spec).save_pretrained(checkpoint)
    task = "image-to-image" if spec.get("refiner") else "inpainting" if "class" in spec else "text-to-image"
    with quick_and_quiet():
        main_export(str(checkpoint), output=target / "export", task=task, library_name="diffusers")
        if spec.get("tiny_vae"):
            _export_tiny_vae(target / "export" / "vae_tiny_decoder")
    shutil.rmtree(checkpoint)
    for path in (target / "export").iterdir():
        path.rename(target / path.name)
    (target / "export").rmdir()


def pipeline(spec: dict[str, Any]) -> Any:
    """A diffusers pipeline for a row of MODELS."""
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
    common = {
        "vae": vae,
        "unet": unet,
        "scheduler": getattr(diffusers, spec["scheduler"]["_class_name"]).from_config(spec["scheduler"]),
        "tokenizer_2": tokenizer(pad="!"),
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
    return getattr(diffusers, spec.get("class", "StableDiffusionXLPipeline"))(
        tokenizer=tokenizer(pad="<|endoftext|>"), text_encoder=encoder, **common
    )


def _text_encoder(width: int, projection: int | None = None) -> Any:
    config = CLIPTextConfig(
        vocab_size=len(vocabulary()[0]),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=4,
        projection_dim=projection or width,
        hidden_act="gelu" if projection else "quick_gelu",
        bos_token_id=len(vocabulary()[0]) - 2,
        eos_token_id=len(vocabulary()[0]) - 1,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
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


def tokenizer(pad: str) -> Any:
    """A CLIP tokenizer of 77 tokens, padded with `pad`."""
    words, merges = vocabulary()
    return CLIPTokenizer(vocab=words, merges=merges, pad_token=pad, model_max_length=77)


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
