"""safelight.json: its values, what comes of them, and which are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safelight_server.errors import LoadError
from safelight_server.model_folder import model_config

PARTS = ("tokenizer", "tokenizer_2", "text_encoder", "text_encoder_2", "vae_encoder", "vae_decoder", "vae_tiny_decoder")
MAP = {"matrix": [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]], "bias": [0.5, 0.25, 0]}


@pytest.fixture
def folder(folders: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders["base"], tmp_path / "model"))


def read_with(folder: Path, **values: Any) -> model_config.ModelConfig:
    """What the folder's config is with these values in safelight.json."""
    (folder / "safelight.json").write_text(json.dumps(values), encoding="utf-8")
    return model_config.read(folder)


def test_defaults_and_map_are_taken(folder: Path) -> None:
    config = read_with(folder, defaults={"steps": 7, "guidance_scale": 0}, latent_rgb=MAP)
    assert (config.steps, config.guidance) == (7, 0)
    assert config.latent_rgb is not None
    np.testing.assert_array_equal(config.latent_rgb[0], np.arange(1, 13).reshape(4, 3))
    np.testing.assert_array_equal(config.latent_rgb[1], [0.5, 0.25, 0])


def test_without_one_all_is_as_before(folder: Path) -> None:
    assert read_with(folder) == model_config.read(folder)
    (folder / "safelight.json").unlink()
    assert (model_config.read(folder).steps, model_config.read(folder).guidance) == (25, 5)


def test_parts_are_read_from_the_folder_beside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = folder.with_name("whole")
    shutil.copytree(folder, whole)
    for part in PARTS:
        shutil.rmtree(folder / part)
    monkeypatch.chdir(folder)
    config = read_with(
        Path(), shared=dict.fromkeys(PARTS, "whole")
    )  # a folder given as "." has a folder beside it, too
    assert config.graph("vae_decoder") == whole / "vae_decoder" / "openvino_model.xml"
    assert config.graph("unet") == Path("unet/openvino_model.xml")
    assert config.tokenizer("text_encoder_2") == whole / "tokenizer_2"
    assert config.has_tiny_decoder


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"defaults": {"steps": 0}}, "defaults.steps must be a whole number from 1 on, not 0"),
        ({"defaults": {"steps": "4"}}, "defaults.steps must be a whole number from 1 on, not '4'"),
        ({"defaults": {"guidance_scale": -1}}, "defaults.guidance_scale must be a number from 0 on, not -1"),
        ({"latent_rgb": {"matrix": [[1, 2]], "bias": [1, 2, 3]}}, "latent_rgb must be channels x 3"),
        ({"latent_rgb": {"matrix": [[1, 2, 3]], "bias": [1, 2, 3]}}, "latent_rgb.matrix must have 4 rows"),
        ({"latent_rgb": {}}, "'matrix'"),
        ({"shared": {"unet": "../elsewhere"}}, "shared must name a folder beside this one, not '../elsewhere'"),
        ({"shared": {"unet": ".."}}, "shared must name a folder beside this one, not '..'"),
        ({"shared": {"vae_encoder": "nobody"}}, "nobody/vae_encoder/openvino_model.xml: is missing"),
    ],
)
def test_what_is_refused(values: dict[str, Any], why: str, folder: Path) -> None:
    with pytest.raises(LoadError) as raised:
        read_with(folder, **values)
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)
