"""What is named in place of a model folder is told with the command that makes one of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from safelight_server.errors import LoadError
from safelight_server.model_folder import model_config


def filled(*names: str) -> Callable[[Path], Path]:
    def fill(folder: Path) -> Path:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"{}")
        return folder

    return fill


def one_file(folder: Path) -> Path:
    (folder / "my xl.safetensors").write_bytes(b"")
    return folder / "my xl.safetensors"


CASES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a checkpoint of diffusers": (
        filled("model_index.json", "unet/diffusion_pytorch_model.fp16.safetensors"),
        r"holds a checkpoint for PyTorch; .*: safelight-server export \S+ \./\S+-openvino",
    ),
    "in pieces": (
        filled("model_index.json", "unet/diffusion_pytorch_model.safetensors.index.json"),
        "safelight-server export",
    ),
    "a single file": (one_file, r"is a checkpoint; .*: safelight-server export '\S+/my xl.safetensors' './my xl-open"),
    "a folder of files": (filled("sd_xl_base_1.0.safetensors"), r"export \S+/sd_xl_base_1.0.safetensors "),
    "a name on the hub": (lambda folder: Path("segmind/VegaRT"), r"export segmind/VegaRT \./VegaRT-openvino"),
    "nothing": (lambda folder: folder / "no" / "where", r"where: is not there$"),
    "an empty folder": (lambda folder: folder, r"model_index.json: is missing; .*`safelight-server export`"),
    "a text": (lambda folder: filled("notes.txt")(folder) / "notes.txt", "must be a folder"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_served_is_told_with_what_helps(case: str, tmp_path: Path) -> None:
    make, told = CASES[case]
    with pytest.raises(LoadError, match=told) as caught:
        model_config.read(make(tmp_path))
    assert "\n" not in str(caught.value)
