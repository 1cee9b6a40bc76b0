"""Weights of a checkpoint, from either format of file."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

pytest.importorskip("accelerate")
pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_weights_come_from_either_format(suffix: str, tmp_path: Path) -> None:
    from safelight_server.export import checkpoint

    path = tmp_path / f"model.{suffix}"
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4)}
    (torch.save if suffix == "bin" else safetensors.torch.save_file)(state, path)
    read = dict(checkpoint.weights([path], torch.float16))
    torch.testing.assert_close({name: value.float() for name, value in read.items()}, state, rtol=0, atol=0)
    assert {value.dtype for value in read.values()} == {torch.float16}
