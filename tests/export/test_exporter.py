"""Whole exports: small checkpoints exported, served, and held against diffusers on torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safelight import Client
from safelight_server.export import exporter
from safelight_server.model_folder import seal
from support.servers import ServerProcess

pytest.importorskip("optimum")
pytest.importorskip("peft")

pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]  # the libraries' own

MODELS = ("base", "vega", "refiner", "int8")


@pytest.fixture(scope="module")
def client(exported: Path) -> Iterator[Client]:
    models = [f"--model={name}={exported / name}" for name in MODELS]
    with ServerProcess(*models, "--precision=f32", compiles=True) as process, Client(process.address) as client:
        assert process.log().count("files are those that were exported") == len(MODELS)
        yield client


def test_a_picture_is_that_of_diffusers(client: Client, checkpoints: Path) -> None:
    near(
        client.generate("a red apple", seed=7, steps=5, guidance_scale=5.0, width=96, height=64),
        checkpoints / "base.npy",
    )


def test_a_fused_lora_draws_as_in_diffusers(client: Client, checkpoints: Path) -> None:
    """4 steps, LCM, no guidance: what the folder says of itself."""
    near(client.generate("a red apple", model="vega", seed=7, width=192, height=128), checkpoints / "vega.npy")


def test_a_refiner_refines_as_in_diffusers(client: Client, checkpoints: Path) -> None:
    from support.tiny_checkpoints import picture

    settings: dict[str, Any] = {"seed": 7, "steps": 8, "guidance_scale": 5.0, "strength": 0.5}
    near(client.refine(picture(), "a red apple", model="refiner", **settings), checkpoints / "refiner.npy")


def near(result: Any, reference: Path) -> None:
    ours, theirs = np.asarray(result.image.convert("RGB")), np.load(reference)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 2
    assert theirs.std() > 5, "a flat picture would prove nothing"


def test_the_manifest_tells_where_all_of_it_came_from(exported: Path, checkpoints: Path) -> None:
    manifest = json.loads((exported / "vega" / "safelight.json").read_text(encoding="utf-8"))
    assert manifest["defaults"] == {"steps": 4, "guidance_scale": 1.0}
    assert manifest["source"]["name"] == "vega"
    digest = hashlib.sha256((checkpoints / "lora.safetensors").read_bytes()).hexdigest()
    assert manifest["source"]["lora"] == {"file": "lora.safetensors", "sha256": digest, "scale": 1.0}
    assert set(manifest["shared"]) == {"vae_encoder", "vae_decoder", "tokenizer", "tokenizer_2"}, (
        "what is as base has it"
    )
    assert not (exported / "vega" / "vae_decoder").exists()
    assert str(checkpoints.parent) not in json.dumps(manifest)
    assert all(seal.check(exported / name) for name in MODELS)


def test_a_tiny_vae_is_exported_for_previews(exported: Path, client: Client) -> None:
    assert {"vae_tiny_decoder", "vae_tiny_encoder"} < {path.name for path in (exported / "base").iterdir()}
    assert [model.has_tiny_decoder for model in client.models()] == [True, False, False, False]


def test_int8_is_told_by_part_and_by_the_pictures(exported: Path) -> None:
    """What the record says is what was drawn: PSNR and SSIM against f32, and each graph's own error."""
    measured = json.loads((exported / "int8" / "safelight.json").read_text(encoding="utf-8"))["source"]["int8_measured"]
    pictures = measured["pictures"]
    assert pictures["count"] == 2
    assert 25 < pictures["psnr"]["worst"] <= pictures["psnr"]["median"] < 99
    assert 0.9 < pictures["ssim"]["worst"] <= pictures["ssim"]["median"] < 1
    for part, one in measured["parts"].items():
        assert 0 < one["error"] < 0.3
        own = json.loads((exported / "int8" / part / "int8.json").read_text(encoding="utf-8"))
        assert one["kept"] == len(own["kept"]) <= one["roundings"]
    lines = exporter.told(exported / "int8")
    assert len(lines) == 5
    assert lines[0].startswith(f"int8 unet: relative error {measured['parts']['unet']['error']:.4f}; ")
    assert f"PSNR {pictures['psnr']['median']} dB" in lines[-1]
    assert exporter.told(exported / "base") == []


def test_int8_is_calibrated_on_the_export_itself_and_served(exported: Path, client: Client) -> None:
    manifest = json.loads((exported / "int8" / "safelight.json").read_text(encoding="utf-8"))
    parts = ("unet", "vae_decoder", "text_encoder", "text_encoder_2")
    assert manifest["source"]["int8"] == dict.fromkeys(parts, "ptq")
    assert manifest["source"]["calibration"] == {"samples": 25, "prompts": "the tool's own"}
    for part in parts:
        assert 'type="FakeQuantize"' in (exported / "int8" / part / "openvino_model.xml").read_text(encoding="utf-8")
    assert set(manifest["shared"]) == {"vae_encoder", "tokenizer", "tokenizer_2"}, "what is quantized is nobody else's"
    assert np.asarray(client.generate("a red apple", model="int8").image).std() > 5
