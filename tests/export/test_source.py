"""The checkpoints that are refused before a weight is loaded, and the files that are chosen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safelight_server.errors import LoadError
from safelight_server.export import source, weight_files
from support.safetensors_files import write_header

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
        write_header(folder / part / name)
        write(folder / part / "config.json", addition_embed_type="text_time")
    for tokenizer in ("tokenizer", "tokenizer_2"):
        write(folder / tokenizer / "tokenizer.json")
    write(folder / "scheduler/scheduler_config.json", _class_name="EulerDiscreteScheduler")
    index(folder, _class_name="StableDiffusionXLPipeline", **CLASSES)
    return folder


def write(path: Path, **values: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")


def index(folder: Path, **values: object) -> None:
    write(folder / "model_index.json", **values)


def pickled(folder: Path) -> None:
    (folder / "unet" / FILES["unet"]).rename(folder / "unet" / "diffusion_pytorch_model.bin")


def cut(folder: Path) -> None:
    path = folder / "unet" / FILES["unet"]
    path.write_bytes(path.read_bytes()[:-1])


def garbled(folder: Path) -> None:
    (folder / "vae" / FILES["vae"]).write_bytes(b"\xff" * 40)


def sharded(folder: Path, *there: str) -> None:
    """The UNet in two shards, of which only those in `there` are there."""
    (folder / "unet" / FILES["unet"]).unlink()
    write(folder / "unet" / f"{FILES['unet']}.index.json", weight_map=dict(zip("ab", SHARDS, strict=True)))
    for name in there:
        write_header(folder / "unet" / name)


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n", encoding="utf-8")


STEM = "diffusion_pytorch_model"
SHARDS = [f"{STEM}-0000{i}-of-00002.safetensors" for i in (1, 2)]

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
        "has no text_encoder_2",
    ),
    "no vae": (lambda folder: (folder / "vae" / FILES["vae"]).unlink(), "vae: has no diffusion_pytorch_model"),
    "half the shards": (
        lambda folder: sharded(folder, SHARDS[0]),
        f"unet/{SHARDS[1]}: is missing, and {STEM}.safetensors.index.json lists it; was the download stopped?",
    ),
    "shards without their index": (
        lambda folder: (folder / "unet" / FILES["unet"]).rename(folder / "unet" / SHARDS[0]),
        f"has no {STEM}.safetensors; {SHARDS[0]} is a shard, and the index of shards is missing",
    ),
    "an index of nothing": (
        lambda folder: write(folder / "unet" / f"{STEM}.safetensors.index.json", weight_map={}),
        "safetensors.index.json: is no index of shards",
    ),
    "an index that leads elsewhere": (
        lambda folder: write(folder / "unet" / f"{STEM}.safetensors.index.json", weight_map={"a": "../vae/x"}),
        "it must map weights to files beside it",
    ),
    "half a download": (
        lambda folder: (folder / "vae" / FILES["vae"]).rename(folder / "vae" / f"{FILES['vae']}.incomplete"),
        "vae: has no diffusion_pytorch_model.safetensors; diffusion_pytorch_model.safetensors.incomplete is half a",
    ),
    "a pointer for weights": (
        lambda folder: pointer(folder / "unet" / FILES["unet"]),
        "unet/diffusion_pytorch_model.safetensors: is a pointer of git-LFS, not the file itself: fetch it with `git",
    ),
    "a pointer for a tokenizer": (
        lambda folder: pointer(folder / "tokenizer/tokenizer.json"),
        "tokenizer/tokenizer.json: is a pointer of git-LFS",
    ),
    "a web page": (
        lambda folder: (folder / "unet" / FILES["unet"]).write_text("<!DOCTYPE html><html></html>"),
        "is a web page, not weights",
    ),
    "no tokenizer": (
        lambda folder: (folder / "tokenizer_2/tokenizer.json").unlink(),
        "tokenizer_2: must have tokenizer.json, or vocab.json and merges.txt",
    ),
    "half a tokenizer": (
        lambda folder: (folder / "tokenizer/tokenizer.json").rename(folder / "tokenizer/vocab.json"),
        "tokenizer: must have tokenizer.json, or vocab.json and merges.txt",
    ),
    "no configuration": (
        lambda folder: (folder / "vae/config.json").unlink(),
        "vae/config.json: is missing; was the download stopped?",
    ),
    "no scheduler": (
        lambda folder: (folder / "scheduler/scheduler_config.json").unlink(),
        "scheduler/scheduler_config.json: is missing",
    ),
    "another UNet": (
        lambda folder: write(folder / "unet/config.json", addition_embed_type=None),
        "unet/config.json: addition_embed_type must be 'text_time', as SDXL has it, not None",
    ),
    "other channels": (
        lambda folder: write(folder / "unet/config.json", addition_embed_type="text_time", in_channels=8),
        "unet/config.json: in_channels must be 4, or 9 for inpainting, not 8",
    ),
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


INDEX = f"{STEM}.safetensors.index.json"
FP16_SHARDS = [f"{STEM}.fp16-0000{i}-of-00002.safetensors" for i in (1, 2)]
FP16_INDEX = f"{STEM}.safetensors.index.fp16.json"


@pytest.mark.parametrize(
    ("names", "half", "pickles", "chosen"),
    [
        ([f"{STEM}.safetensors", f"{STEM}.fp16.safetensors"], True, False, [f"{STEM}.fp16.safetensors"]),
        ([f"{STEM}.safetensors", f"{STEM}.fp16.safetensors"], False, False, [f"{STEM}.safetensors"]),
        ([f"{STEM}.fp16.safetensors"], False, False, [f"{STEM}.fp16.safetensors"]),
        ([*SHARDS, INDEX], True, False, [INDEX, *SHARDS]),
        ([*SHARDS, INDEX, f"{STEM}.safetensors"], False, False, [INDEX, *SHARDS]),
        ([*SHARDS, *FP16_SHARDS, INDEX, FP16_INDEX], True, False, [FP16_INDEX, *FP16_SHARDS]),
        ([*SHARDS, *FP16_SHARDS, INDEX, FP16_INDEX], False, False, [INDEX, *SHARDS]),
        ([*SHARDS, f"{STEM}.fp16.safetensors"], False, False, [f"{STEM}.fp16.safetensors"]),
        (SHARDS, True, False, []),
        ([f"{STEM}.bin"], True, False, []),
        ([f"{STEM}.bin"], True, True, [f"{STEM}.bin"]),
        ([f"{STEM}.bin", f"{STEM}.safetensors"], True, True, [f"{STEM}.safetensors"]),
        (["other.safetensors", "config.json"], True, False, []),
    ],
)
def test_which_files_are_chosen(names: list[str], half: bool, pickles: bool, chosen: list[str]) -> None:
    assert weight_files.choose(names, STEM, half=half, pickles=pickles) == chosen


def test_pickles_of_transformers_have_a_name_of_their_own() -> None:
    assert weight_files.choose(["pytorch_model.bin"], "model", half=True, pickles=True) == ["pytorch_model.bin"]
    assert weight_files.choose(["pytorch_model.bin"], "model", half=True, pickles=False) == []


def test_transformers_reads_one_file_before_an_index_as_diffusers_does_not() -> None:
    names = ["model.safetensors", "model.safetensors.index.json", "model-00001-of-00001.safetensors"]
    assert weight_files.choose(names, "model", half=True, pickles=False) == ["model.safetensors"]


def test_what_lies_beside_an_index_is_not_read(checkpoint: Path) -> None:
    sharded(checkpoint, *SHARDS)
    for name in (f"{STEM}-00003-of-00003.safetensors", "diffusion_pytorch_model.non_ema.safetensors"):
        (checkpoint / "unet" / name).write_bytes(b"left from before")
    (checkpoint / "image_encoder").mkdir()
    found = source.find(str(checkpoint), None, half=True, pickles=False)
    assert [path.name for path in found.weights["unet"]] == SHARDS


def test_a_folder_without_an_index_and_several_files_asks_for_one(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        write_header(tmp_path / name)
    with pytest.raises(LoadError, match=r"has several files; name one: .*/a.safetensors, .*/b.safetensors"):
        source.find(str(tmp_path), None, half=True, pickles=False)


def test_without_a_hub_a_name_is_refused_in_one_line() -> None:
    with pytest.raises(LoadError) as raised:
        source.find("nobody/nothing", None, half=True, pickles=False)
    assert str(raised.value).startswith("nobody/nothing: is not in the cache, and ")
