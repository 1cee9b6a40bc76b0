"""What people own, from one end to the other: `.venv/bin/pytest -m slow tests/tcp/test_afternoon.py` (a minute or two).

A single file and a kohya LoRA are exported and served; the picture is opened by sd-prompt-reader, and drawn again.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.servers import ServerProcess

torch = pytest.importorskip("torch")
pytest.importorskip("optimum")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

LORA = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}
RANK, ALPHA = 4, 2.0
SMALL = ["--steps", "4", "--size", "256x256", "--seed", "7", "--scheduler", "DPM++ 2M Karras", "-q"]


def run(*words: object, address: str = "", code: int = 0) -> str:
    command = [sys.executable, "-m", *map(str, words), *([f"--address={address}"] if address else [])]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == code, ended.stderr[-3000:]
    return ended.stdout


def kohya(pipe: Any, path: Path) -> Path:
    """A LoRA on every attention's query, of the UNet and of both text encoders."""
    from safetensors.torch import save_file

    torch.manual_seed(5)
    weights = {}
    for part, prefix in LORA.items():
        for name, layer in getattr(pipe, part).named_modules():
            if name.endswith(("to_q", "q_proj")):
                stem = prefix + name.replace(".", "_")
                if part != "unet" and "text_model" not in stem:
                    stem = stem.replace(prefix, f"{prefix}text_model_")
                weights[f"{stem}.lora_down.weight"] = torch.randn(RANK, layer.in_features)
                weights[f"{stem}.lora_up.weight"] = 0.1 * torch.randn(layer.out_features, RANK)
                weights[f"{stem}.alpha"] = torch.tensor(ALPHA)
    save_file(weights, path, {"ss_network_module": "networks.lora", "ss_base_model_version": "sdxl_base_v1-0"})
    return path


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what was downloaded: one checkpoint, one LoRA."""
    from support.exports import quick_and_quiet
    from support.original_layout import write
    from support.single_files import pipeline

    folder = tmp_path_factory.mktemp("owned")
    with quick_and_quiet():
        pipe = pipeline("base", folder / "tokenizers")
    write(pipe, folder / "myCheckpoint_v1.safetensors")
    kohya(pipe, folder / "style.safetensors")
    return folder


def test_an_afternoon(owned: Path, tmp_path: Path) -> None:
    from sd_prompt_reader.image_data_reader import ImageDataReader

    export = ("safelight_server", "export", owned / "myCheckpoint_v1.safetensors")
    run(*export, tmp_path / "plain")
    run(*export, tmp_path / "styled", "--lora", f"{owned / 'style.safetensors'}:0.8")
    models = [f"--model={name}={tmp_path / name}" for name in ("styled", "plain")]
    picture, again, other = (tmp_path / name for name in ("a.png", "b.png", "c.png"))
    with ServerProcess(*models, "--precision=f32", compiles=True) as server:
        run("safelight", "generate", "a red (apple:1.2)", "-o", picture, *SMALL, address=server.address)
        run("safelight", "again", picture, "-o", again, "-q", address=server.address)
        run("safelight", "generate", "a red (apple:1.2)", "-o", other, *SMALL, "--model=plain", address=server.address)
        assert "same" in run("safelight", "verify", picture, address=server.address)
        run("safelight", "verify", other, address=server.address)
    assert picture.read_bytes() == again.read_bytes()
    told = ImageDataReader(str(picture))
    assert told.tool == "A1111 webUI"
    assert told.positive == r"a red \(apple:1.2\)", "literal, as it was read"
    assert told.parameter["sampler"] == "DPM++ 2M Karras"
    assert told.parameter["model"] == "styled"
    assert (told.parameter["seed"], told.parameter["size"]) == ("7", "256x256")
    first, second = (np.asarray(Image.open(path)).astype(int) for path in (picture, other))
    assert np.abs(first - second).mean() > 1, "the LoRA shows"
