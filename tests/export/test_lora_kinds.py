"""Every layout of names, every kind of decomposition and every way to say alpha: W afterwards, by the formulas."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support.tiny_models import UNET

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own

Weights = dict[str, torch.Tensor]
Made = tuple[Weights, torch.Tensor, dict[str, str]]  # the file, what W is to be, and the file's metadata

LINEAR = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"  # 64 x 64
CONVOLUTION = "down_blocks.0.resnets.0.conv1"  # 32 x 32 x 3 x 3
RANK, ALPHA = 4, 6.0
KOHYA = {layer: "lora_unet_" + layer.replace(".", "_") for layer in (LINEAR, CONVOLUTION)}


@pytest.fixture(scope="module")
def base() -> Any:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    return UNet2DConditionModel(
        cross_attention_dim=80,
        addition_embed_type="text_time",
        projection_class_embeddings_input_dim=40 + 6 * UNET["addition_time_embed_dim"],
        use_linear_projection=True,
        **UNET,
    )


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))) / 4


def linear(names: str, alpha: str | None = None, metadata: dict[str, Any] | None = None, ratio: float = 1.0) -> Any:
    """A file whose down and up have these names, {} for down or up."""

    def make(weight: torch.Tensor) -> Made:
        down, up = normal(RANK, 64), normal(64, RANK)
        down_name, up_name = names.split(" ")
        tensors = {down_name: down, up_name: up} | ({alpha: torch.tensor(ALPHA)} if alpha else {})
        told = {key: json.dumps(value) for key, value in (metadata or {}).items()}
        return tensors, weight + ratio * up @ down, told

    return make


def loha(weight: torch.Tensor) -> Made:
    parts = {f"hada_w{i}_{side}": normal(*shape) for i in (1, 2) for side, shape in (("a", (64, 4)), ("b", (4, 64)))}
    parts["hada_w2_a"] = parts["hada_w2_a"] * 0.7
    one, two = (parts[f"hada_w{i}_a"] @ parts[f"hada_w{i}_b"] for i in (1, 2))
    tensors = {f"{KOHYA[LINEAR]}.{name}": value for name, value in parts.items()}
    return tensors | {f"{KOHYA[LINEAR]}.alpha": torch.tensor(ALPHA)}, weight + ALPHA / RANK * one * two, {}


def lokr(weight: torch.Tensor) -> Made:
    """Both factors whole: alpha says nothing then."""
    one, two = normal(8, 4), normal(8, 16)
    name = KOHYA[LINEAR]
    tensors = {f"{name}.lokr_w1": one, f"{name}.lokr_w2": two, f"{name}.alpha": torch.tensor(ALPHA)}
    return tensors, weight + torch.kron(one, two), {}


def lokr_of_rank(weight: torch.Tensor) -> Made:
    one, two_a, two_b = normal(8, 4), normal(8, RANK), normal(RANK, 16)
    name = KOHYA[LINEAR]
    tensors = {f"{name}.lokr_w1": one, f"{name}.lokr_w2_a": two_a, f"{name}.lokr_w2_b": two_b}
    tensors[f"{name}.alpha"] = torch.tensor(ALPHA)
    return tensors, weight + ALPHA / RANK * torch.kron(one, two_a @ two_b), {}


def full(weight: torch.Tensor) -> Made:
    change = normal(*weight.shape)
    return {f"{KOHYA[LINEAR]}.diff": change}, weight + change, {}


def pointwise(weight: torch.Tensor) -> Made:
    """A convolution as a 3 x 3 one of few channels, and a 1 x 1 one."""
    down, up = normal(RANK, 32, 3, 3), normal(32, RANK, 1, 1)
    change = torch.einsum("or,rikl->oikl", up[:, :, 0, 0], down)
    name = KOHYA[CONVOLUTION]
    tensors = {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": torch.tensor(ALPHA)}
    return tensors, weight + ALPHA / RANK * change, {}


def with_middle(weight: torch.Tensor) -> Made:
    """CP: 1 x 1, then 3 x 3 within the rank, then 1 x 1."""
    down, middle, up = normal(RANK, 32, 1, 1), normal(RANK, RANK, 3, 3), normal(32, RANK, 1, 1)
    change = torch.einsum("or,rskl,si->oikl", up[:, :, 0, 0], middle, down[:, :, 0, 0])
    name = KOHYA[CONVOLUTION]
    tensors = {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.lora_mid.weight": middle}
    return tensors | {f"{name}.alpha": torch.tensor(ALPHA)}, weight + ALPHA / RANK * change, {}


def dora(weight: torch.Tensor) -> Made:
    """PEFT's: one magnitude a row of W (Liu et al., 2024, arXiv 2402.09353)."""
    down, up, magnitude = normal(RANK, 64), normal(64, RANK), normal(64).abs() + 1
    changed = weight + up @ down
    want = magnitude[:, None] * changed / changed.norm(dim=1, keepdim=True)
    name = f"unet.{LINEAR}"
    tensors = {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up, f"{name}.lora_magnitude_vector": magnitude}
    return tensors, want, {}


def kohya_dora(weight: torch.Tensor) -> Made:
    down, up, magnitude = normal(RANK, 64), normal(64, RANK), normal(64, 1).abs() + 1
    changed = weight + ALPHA / RANK * up @ down
    name = KOHYA[LINEAR]
    tensors = {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.dora_scale": magnitude}
    want = magnitude * changed / changed.norm(dim=1, keepdim=True)
    return tensors | {f"{name}.alpha": torch.tensor(ALPHA)}, want, {}


A, B = "lora_A.weight", "lora_B.weight"
OLD = LINEAR.removesuffix("to_q") + "processor.to_q_lora"
SGM = "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q"
RATIO = ALPHA / RANK
ADAPTER = "lora_adapter_metadata"

CASES: dict[str, tuple[str, Callable[[torch.Tensor], Made]]] = {
    "kohya": (
        LINEAR,
        linear(
            f"{KOHYA[LINEAR]}.lora_down.weight {KOHYA[LINEAR]}.lora_up.weight", f"{KOHYA[LINEAR]}.alpha", None, RATIO
        ),
    ),
    "kohya, names of the original": (
        LINEAR,
        linear(f"{SGM}.lora_down.weight {SGM}.lora_up.weight", f"{SGM}.alpha", None, RATIO),
    ),
    "diffusers": (LINEAR, linear(f"unet.{LINEAR}.{A} unet.{LINEAR}.{B}")),
    "diffusers, older": (LINEAR, linear(f"unet.{LINEAR}.lora.down.weight unet.{LINEAR}.lora.up.weight")),
    "diffusers, oldest": (LINEAR, linear(f"unet.{OLD}.down.weight unet.{OLD}.up.weight")),
    "peft": (LINEAR, linear(f"base_model.model.{LINEAR}.{A} base_model.model.{LINEAR}.{B}")),
    "alpha in the metadata": (
        LINEAR,
        linear(
            f"unet.{LINEAR}.{A} unet.{LINEAR}.{B}",
            None,
            {ADAPTER: {"unet.r": RANK, "unet.lora_alpha": ALPHA}},
            RATIO,
        ),
    ),
    "alpha of a layer's own": (
        LINEAR,
        linear(
            f"unet.{LINEAR}.{A} unet.{LINEAR}.{B}",
            None,
            {ADAPTER: {"unet.r": 8, "unet.lora_alpha": 1, "unet.alpha_pattern": {LINEAR: ALPHA}}},
            RATIO,
        ),
    ),
    "rslora": (
        LINEAR,
        linear(
            f"unet.{LINEAR}.{A} unet.{LINEAR}.{B}",
            None,
            {ADAPTER: {"unet.r": RANK, "unet.lora_alpha": ALPHA, "unet.use_rslora": True}},
            ALPHA / sqrt(RANK),
        ),
    ),
    "LoHa": (LINEAR, loha),
    "LoKr": (LINEAR, lokr),
    "LoKr of a rank": (LINEAR, lokr_of_rank),
    "a full matrix": (LINEAR, full),
    "a convolution": (CONVOLUTION, pointwise),
    "a convolution with a middle": (CONVOLUTION, with_middle),
    "DoRA": (LINEAR, dora),
    "DoRA, kohya's": (LINEAR, kohya_dora),
}


@pytest.mark.parametrize("case", CASES)
def test_the_weights_are_what_the_formula_says(case: str, base: Any, tmp_path: Path) -> None:
    from safelight_server.export import lora

    layer, make = CASES[case]
    before = {name: value.clone() for name, value in base.state_dict().items()}
    tensors, want, metadata = make(before[f"{layer}.weight"])
    save_file({name: value.contiguous() for name, value in tensors.items()}, tmp_path / "x.safetensors", metadata)
    try:
        lora.fuse(base, tmp_path / "x.safetensors", 1.0)
        after = {name: value.clone() for name, value in base.state_dict().items()}
    finally:
        base.load_state_dict(before)
    torch.testing.assert_close(after.pop(f"{layer}.weight"), want, rtol=1e-5, atol=1e-5)
    del before[f"{layer}.weight"]
    torch.testing.assert_close(after, before, rtol=0, atol=0)


TEXT = "text_model.encoder.layers.0.self_attn.q_proj"
TEXT_NAMES: dict[str, tuple[str, str, str]] = {
    "kohya": (f"lora_te1_{TEXT.replace('.', '_')}", "lora_down", "lora_up"),
    "diffusers": (f"text_encoder.{TEXT}", "lora_A", "lora_B"),
    "diffusers, older": (
        f"text_encoder.{TEXT.replace('q_proj', 'to_q')}",
        "lora_linear_layer.down",
        "lora_linear_layer.up",
    ),
}


@pytest.mark.parametrize("layout", TEXT_NAMES)
def test_a_text_encoder_is_changed_and_the_other_is_not(layout: str, base: Any, tmp_path: Path) -> None:
    from safelight_server.export import lora
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    first, second = (CLIPTextModel(CLIPTextConfig(vocab_size=100, **sizes)) for _ in range(2))
    parts = {"unet": base, "text_encoder": first, "text_encoder_2": second}
    module = next(name for name in (TEXT, TEXT.removeprefix("text_model.")) if name in dict(first.named_modules()))
    before = {name: {key: value.clone() for key, value in part.state_dict().items()} for name, part in parts.items()}
    stem, down_end, up_end = TEXT_NAMES[layout]
    down, up = normal(RANK, 64), normal(64, RANK)
    save_file({f"{stem}.{down_end}.weight": down, f"{stem}.{up_end}.weight": up}, tmp_path / "x.safetensors")
    for name, part in parts.items():
        others = {other: value for other, value in parts.items() if other != name}
        lora.fuse(part, tmp_path / "x.safetensors", 0.5, name, others)
    before["text_encoder"][f"{module}.weight"] += 0.5 * up @ down
    for name, part in parts.items():
        torch.testing.assert_close(part.state_dict(), before[name], rtol=1e-5, atol=1e-5)
