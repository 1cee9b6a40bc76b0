"""Weights of a checkpoint, from either format of file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

pytest.importorskip("accelerate")
pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_weights_come_from_either_format(suffix: str, tmp_path: Path) -> None:
    from safelight_server.export import tensors

    path = tmp_path / f"model.{suffix}"
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4)}
    (torch.save if suffix == "bin" else safetensors.torch.save_file)(state, path)
    read = dict(tensors.weights([path], torch.float16))
    torch.testing.assert_close({name: value.float() for name, value in read.items()}, state, rtol=0, atol=0)
    assert {value.dtype for value in read.values()} == {torch.float16}


def test_only_the_chosen_files_are_read(checkpoints: Path, tmp_path: Path) -> None:
    """Beside the shards of an index lie another variant and an image encoder that is not whole: neither is touched."""
    from diffusers import AutoencoderKL
    from safelight_server.export import checkpoint, source

    folder = shutil.copytree(checkpoints / "base", tmp_path / "base")
    index = json.loads((folder / "model_index.json").read_text())
    index["image_encoder"] = ["transformers", "CLIPVisionModelWithProjection"]
    (folder / "model_index.json").write_text(json.dumps(index))
    whole = AutoencoderKL.from_pretrained(folder / "vae")
    for path in (folder / "vae").glob("*.safetensors"):
        path.unlink()
    whole.save_pretrained(folder / "vae", max_shard_size="20KB")
    (folder / "vae/diffusion_pytorch_model.safetensors").write_bytes(b"left from before")
    (folder / "image_encoder").mkdir()
    files = source.find(str(folder), None, half=False, pickles=False).weights["vae"]
    assert len(files) > 1
    vae = checkpoint.pipeline(folder, "vae", files, torch.float32).vae
    torch.testing.assert_close(vae.state_dict(), whole.state_dict(), rtol=0, atol=0)
