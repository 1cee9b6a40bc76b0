"""Fusing a LoRA: both formats that people have, the sums by hand, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safelight_server.errors import LoadError
from safetensors.torch import save_file
from support.tiny_models import UNET

pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own

Weights = dict[str, torch.Tensor]

LINEAR = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
CONVOLUTION = "down_blocks.0.resnets.0.conv1"
RANK, ALPHA = 2, 1.0


@pytest.fixture
def unet() -> Any:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    return UNet2DConditionModel(
        cross_attention_dim=80,
        addition_embed_type="text_time",
        projection_class_embeddings_input_dim=40 + 6 * UNET["addition_time_embed_dim"],
        use_linear_projection=True,
        **UNET,
    )


def factors(unet: Any, layer: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Down and up, such as fit the layer."""
    weight = unet.get_submodule(layer).weight
    generator = torch.Generator().manual_seed(1)
    down = torch.randn((RANK, *weight.shape[1:]), generator=generator)
    return down, torch.randn((weight.shape[0], RANK, *[1] * (weight.ndim - 2)), generator=generator)


def kohya(layer: str, down: torch.Tensor, up: torch.Tensor) -> Weights:
    """The format of latent-consistency/lcm-lora-sdxl."""
    name = "lora_unet_" + layer.replace(".", "_")
    return {
        f"{name}.lora_down.weight": down,
        f"{name}.lora_up.weight": up,
        f"{name}.alpha": torch.tensor(ALPHA),
    }


def peft(layer: str, down: torch.Tensor, up: torch.Tensor) -> Weights:
    return {f"unet.{layer}.lora_A.weight": down, f"unet.{layer}.lora_B.weight": up}


@pytest.mark.parametrize("layer", [LINEAR, CONVOLUTION])
@pytest.mark.parametrize(("layout", "alpha"), [(kohya, ALPHA / RANK), (peft, 1.0)])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_product_of_the_factors_is_added(
    layer: str, layout: Callable[..., Weights], alpha: float, scale: float, unet: Any, tmp_path: Path
) -> None:
    from safelight_server.export import lora

    down, up = factors(unet, layer)
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    save_file(layout(layer, down, up), tmp_path / "lora.safetensors")
    lora.fuse(unet, tmp_path / "lora.safetensors", scale)
    product = (up.flatten(1) @ down.flatten(1)).reshape(before[f"{layer}.weight"].shape)
    before[f"{layer}.weight"] += scale * alpha * product
    after = unet.state_dict()
    assert after.keys() == before.keys()
    for name in before:
        torch.testing.assert_close(after[name], before[name], rtol=1e-5, atol=1e-5)


def shrunk(unet: Any) -> Weights:
    down, up = factors(unet, LINEAR)
    return peft(LINEAR, down[:, :-1], up)


REFUSED: dict[str, tuple[Callable[[Any], Weights], str]] = {
    "another shape": (shrunk, f"changes 64 x 63 numbers, and unet.{LINEAR} has 64 x 64"),
    "another layer": (
        lambda unet: peft("down_blocks.7.attentions.0.to_q", *factors(unet, LINEAR)),
        "down_blocks.7.attentions.0.to_q.lora_A.weight is for no layer of this checkpoint's unet",
    ),
    "a text encoder's": (
        lambda unet: {
            name.replace("unet.", "text_encoder."): value
            for name, value in peft("text_model.encoder.layers.0.self_attn.q_proj", *factors(unet, LINEAR)).items()
        },
        "is for no layer of this checkpoint's parts, which have no text_encoder",
    ),
    "no LoRA": (lambda unet: {"conv_in.weight": torch.zeros(2, 2)}, "lora.safetensors: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_lora_of_something_else_is_refused_and_changes_nothing(case: str, unet: Any, tmp_path: Path) -> None:
    from safelight_server.export import lora

    made, why = REFUSED[case]
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    save_file({name: value.contiguous() for name, value in made(unet).items()}, tmp_path / "lora.safetensors")
    with pytest.raises(LoadError) as raised:
        lora.fuse(unet, tmp_path / "lora.safetensors", 1.0)
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)
    torch.testing.assert_close(unet.state_dict(), before, rtol=0, atol=0)


def test_a_file_that_is_cut_is_refused(unet: Any, tmp_path: Path) -> None:
    from safelight_server.export import lora

    path = tmp_path / "lora.safetensors"
    save_file(peft(LINEAR, *factors(unet, LINEAR)), path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(LoadError, match="is not a whole safetensors file: must have"):
        lora.fuse(unet, path, 1.0)


def test_a_pointer_of_git_lfs_is_called_that(unet: Any, tmp_path: Path) -> None:
    from safelight_server.export import lora

    path = tmp_path / "lora.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n")
    with pytest.raises(LoadError, match="is a pointer of git-LFS"):
        lora.fuse(unet, path, 1.0)
