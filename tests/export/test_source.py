"""The checkpoints that are refused before a weight is loaded, and the files that are chosen."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from safelight_server.errors import LoadError
from safelight_server.export import source

TENSOR = {"weight": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}}
FILES = {
    "text_encoder": "model.safetensors",
    "text_encoder_2": "model.safetensors",
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
}
CLASSES = {
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Whole as far as `find` looks: names, classes and headers."""
    folder = tmp_path / "checkpoint"
    for part, name in FILES.items():
        (folder / part).mkdir(parents=True)
        (folder / part / name).write_bytes(safetensors(TENSOR))
    index(folder, _class_name="StableDiffusionXLPipeline", **CLASSES)
    return folder


def safetensors(header: object, data: bytes = bytes(12)) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def index(folder: Path, **values: object) -> None:
    (folder / "model_index.json").write_text(json.dumps(values), encoding="utf-8")


def pickled(folder: Path) -> None:
    (folder / "unet" / FILES["unet"]).rename(folder / "unet" / "diffusion_pytorch_model.bin")


def cut(folder: Path) -> None:
    path = folder / "unet" / FILES["unet"]
    path.write_bytes(path.read_bytes()[:-1])


def garbled(folder: Path) -> None:
    (folder / "vae" / FILES["vae"]).write_bytes(b"\xff" * 40)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pickle": (pickled, "diffusion_pytorch_model.bin is a pickle, and can run code: --allow-pickle"),
    "cut": (cut, "unet/diffusion_pytorch_model.safetensors: is not a whole safetensors file: must have"),
    "garbled": (garbled, "vae/diffusion_pytorch_model.safetensors: is not a whole safetensors file"),
    "no index": (lambda folder: (folder / "model_index.json").unlink(), "model_index.json: a checkpoint in the"),
    "no json": (lambda folder: (folder / "model_index.json").write_text("{"), "model_index.json: a checkpoint in the"),
    "another pipeline": (
        lambda folder: index(folder, _class_name="StableDiffusionPipeline", **CLASSES),
        "_class_name must be one of StableDiffusionXLPipeline",
    ),
    "another class": (
        lambda folder: index(
            folder,
            _class_name="StableDiffusionXLPipeline",
            **CLASSES | {"unet": ["diffusers", "SD3Transformer2DModel"]},
        ),
        "unet must be one of CLIPTextModel, CLIPTextModelWithProjection, UNet2DConditionModel, AutoencoderKL, not SD3",
    ),
    "no second encoder": (
        lambda folder: index(
            folder, _class_name="StableDiffusionXLPipeline", **CLASSES | {"text_encoder_2": [None, None]}
        ),
        "names no text_encoder_2",
    ),
    "no vae": (lambda folder: (folder / "vae" / FILES["vae"]).unlink(), "vae: has no diffusion_pytorch_model"),
    "exported already": (
        lambda folder: (folder / "unet" / "openvino_model.xml").write_text("<net/>"),
        "is exported already; serve it with",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_why_in_one_line(case: str, checkpoint: Path) -> None:
    spoil, why = REFUSED[case]
    spoil(checkpoint)
    with pytest.raises(LoadError) as raised:
        source.find(str(checkpoint), None, half=True, pickles=False)
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_whole_checkpoint_is_found(checkpoint: Path) -> None:
    found = source.find(str(checkpoint), None, half=True, pickles=False)
    assert list(found.weights) == ["unet", "text_encoder", "text_encoder_2", "vae"]
    assert found.parameters("unet") == 6
    assert set(source.digests(found.weights["unet"])) == {"unet/diffusion_pytorch_model.safetensors"}


STEM = "diffusion_pytorch_model"
SHARDS = [f"{STEM}-0000{i}-of-00002.safetensors" for i in (1, 2)]


@pytest.mark.parametrize(
    ("names", "half", "pickles", "chosen"),
    [
        ([f"{STEM}.safetensors", f"{STEM}.fp16.safetensors"], True, False, [f"{STEM}.fp16.safetensors"]),
        ([f"{STEM}.safetensors", f"{STEM}.fp16.safetensors"], False, False, [f"{STEM}.safetensors"]),
        ([f"{STEM}.fp16.safetensors"], False, False, [f"{STEM}.fp16.safetensors"]),
        ([*SHARDS, f"{STEM}.safetensors.index.json"], True, False, SHARDS),
        ([f"{STEM}.bin"], True, False, []),
        ([f"{STEM}.bin"], True, True, [f"{STEM}.bin"]),
        ([f"{STEM}.bin", f"{STEM}.safetensors"], True, True, [f"{STEM}.safetensors"]),
        (["other.safetensors", "config.json"], True, False, []),
    ],
)
def test_which_files_are_chosen(names: list[str], half: bool, pickles: bool, chosen: list[str]) -> None:
    assert source.choose(names, STEM, half=half, pickles=pickles) == chosen


def test_pickles_of_transformers_have_a_name_of_their_own() -> None:
    assert source.choose(["pytorch_model.bin"], "model", half=True, pickles=True) == ["pytorch_model.bin"]
    assert source.choose(["pytorch_model.bin"], "model", half=True, pickles=False) == []


def test_without_a_hub_a_name_is_refused_in_one_line() -> None:
    with pytest.raises(LoadError) as raised:
        source.find("nobody/nothing", None, half=True, pickles=False)
    assert str(raised.value).startswith("nobody/nothing: is not here, and the hub says: ")
