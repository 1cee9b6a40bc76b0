"""What a folder is refused for, in one line that names the file; what models share, and what a cache saves."""

from __future__ import annotations

import asyncio
import json
import locale
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import openvino as ov
import pytest
from safelight_server import demo
from safelight_server.errors import LoadError
from safelight_server.lanes.compiled_network import CompiledNetwork
from safelight_server.lanes.lane import Lane
from safelight_server.model_folder import model_config
from safelight_server.models import loader
from safelight_server.models.batch_profile import random_row
from safelight_server.models.device import Device
from support import compiled, engines


def load(folder: Path) -> Any:
    config, device = model_config.read(folder), compiled.device(None)
    return loader.load("m", config, Lane("CPU"), device, lambda what: None, max_edge=2048)


def rewritten(path: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / path
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def removed(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


def spoil(path: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / path).write_bytes(b"{ no JSON, no IR")

    return change


def replaced(part: str, by: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for end in ("xml", "bin"):
            shutil.copy(folder / by / f"openvino_model.{end}", folder / part / f"openvino_model.{end}")

    return change


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no index": (removed("model_index.json"), "model_index.json: is missing"),
    "another class": (rewritten("model_index.json", _class_name="FluxPipeline"), "_class_name must be one of"),
    "index is no JSON": (spoil("model_index.json"), "model_index.json: cannot be read as JSON"),
    "no UNet": (removed("unet/openvino_model.xml"), "unet/openvino_model.xml: is missing"),
    "no weights": (removed("vae_decoder/openvino_model.bin"), "vae_decoder/openvino_model.bin: is missing"),
    "no tokenizer": (removed("tokenizer_2/tokenizer.json"), "tokenizer_2/tokenizer.json: is missing"),
    "spoilt tokenizer": (spoil("tokenizer/tokenizer.json"), "the tokenizer cannot be read"),
    "spoilt graph": (spoil("unet/openvino_model.xml"), "unet/openvino_model.xml: OpenVINO says"),
    "not SDXL": (rewritten("unet/config.json", addition_embed_type=None), "addition_embed_type must be 'text_time'"),
    "odd channels": (rewritten("unet/config.json", in_channels=8), "in_channels must be 4, or 9"),
    "unknown scheduler": (
        rewritten("scheduler/scheduler_config.json", _class_name="PNDM"),
        "_class_name must be one of",
    ),
    "odd scheduler": (rewritten("scheduler/scheduler_config.json", prediction_type="flow"), "prediction_type must be"),
    "no number": (rewritten("vae_decoder/config.json", scaling_factor=None), "is not of its kind"),
    "no list": (rewritten("model_index.json", text_encoder=7), "is not of its kind"),
    "no text encoder": (replaced("text_encoder", by="vae_encoder"), "input_ids must have 2 dimensions"),
    "first for second": (replaced("text_encoder_2", by="text_encoder"), "must give text_embeds"),
    "other conditioning": (rewritten("model_index.json", requires_aesthetics_score=True), "time_ids must be 5 wide"),
    "guidance input": (rewritten("unet/config.json", time_cond_proj_dim=16), "no input timestep_cond"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_refused_in_one_line(case: str, folders: dict[str, str], tmp_path: Path) -> None:
    change, told = BROKEN[case]
    folder = tmp_path / "model"
    shutil.copytree(folders["base"], folder)
    change(folder)
    with pytest.raises(LoadError, match=told) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_models_that_share_files_share_networks_on_one_lane() -> None:
    lane = Lane("CPU")
    xl, vega = (engines.load(name, lane) for name in ("demo-xl", "demo-vega"))
    assert vega.networks.vae_decoder is xl.networks.vae_decoder
    assert [encoder.network for encoder in vega.networks.encoders] == [
        encoder.network for encoder in xl.networks.encoders
    ]
    assert vega.networks.unet is not xl.networks.unet
    beside = engines.load("demo-vega")
    assert beside.networks.vae_decoder is not xl.networks.vae_decoder, "lanes work at the same time"


def test_one_graph_with_two_sets_of_weights_is_two_networks(folders: dict[str, str], tmp_path: Path) -> None:
    """As two revisions lie in the hub's cache: links to one graph, and to weights of their own. With a cache, too."""
    part = "vae_decoder"
    for name in ("one", "other"):
        shutil.copytree(folders["refiner"], tmp_path / name)  # which has the fewest other parts
    graph = tmp_path / "other" / part / "openvino_model.xml"
    graph.unlink()
    graph.symlink_to(tmp_path / "one" / part / "openvino_model.xml")
    weights = graph.with_suffix(".bin")
    raw = bytearray(weights.read_bytes())
    for layer in ElementTree.parse(tmp_path / "one" / part / "openvino_model.xml").iter("data"):
        if layer.get("element_type") == "f32" and int(layer.get("size", 0)) > 2000:
            begin, size = int(layer.get("offset", 0)), int(layer.get("size", 0))
            raw[begin : begin + size] = (np.frombuffer(bytes(raw[begin : begin + size]), np.float32) / 2).tobytes()
    weights.write_bytes(raw)

    def decoded(lane: Lane, device: Device, name: str) -> bytes:
        config = model_config.read(tmp_path / name)
        model = loader.load(name, config, lane, device, lambda what: None, max_edge=512)
        return asyncio.run(model.decode(np.ones((1, 4, 8, 8), np.float32))).tobytes()

    writing = reading = Device(precision="f32", cache=tmp_path / "cache")
    for device in (Device(precision="f32"), writing, reading):
        lane = Lane("CPU")
        assert decoded(lane, device, "one") != decoded(lane, device, "other")
        assert decoded(Lane("CPU"), device, "other") == decoded(lane, device, "other")


def test_a_cache_gives_no_weights_of_another_file(tmp_path: Path) -> None:
    """Two folders of one UNet, whose files of weights are laid out differently, as two tools write them."""
    other = tmp_path / "other"
    shutil.copytree(demo.FOLDERS["demo-xl"], other, ignore=shutil.ignore_patterns("safelight.json"))
    graph = ov.Core().read_model(other / "unet/openvino_model.xml")
    graph.reshape({"timestep": [1]})
    ov.save_model(graph, tmp_path / "saved.xml", compress_to_fp16=True)
    for end in ("xml", "bin"):
        (tmp_path / f"saved.{end}").replace(other / f"unet/openvino_model.{end}")

    def outputs(folder: Path, cache: Path | None) -> list[bytes]:
        device = Device(precision="f32", cache=cache)
        model = loader.load("m", model_config.read(folder), Lane("CPU"), device, lambda what: None, max_edge=512)
        assert model.networks.shallow_unet is not None
        found = []
        for network in (model.networks.unet, model.networks.shallow_unet):
            row = random_row(network, 16, 0, 32) | {"timestep": np.array([500])}
            found.append(asyncio.run(network(row))["out_sample"].tobytes())
        return found

    right = outputs(demo.FOLDERS["demo-xl"], None)
    outputs(other, tmp_path / "cache")
    assert outputs(demo.FOLDERS["demo-xl"], tmp_path / "cache") == right


def test_a_second_start_compiles_nothing(tmp_path: Path) -> None:
    def from_cache() -> dict[str, bool]:
        model = engines.load("demo-xl", device=Device(cache=tmp_path))
        networks = {network.name: cast(CompiledNetwork, network) for network in model.networks.all()}
        encoder = networks["demo-xl/vae_encoder"]
        assert not encoder.broken
        asyncio.run(encoder({"sample": np.zeros((1, 3, 64, 64), np.float32)}))  # it is compiled only now
        return {name: network.from_cache for name, network in networks.items()}

    spoken = locale.setlocale(locale.LC_ALL)
    assert not any(from_cache().values())
    second = from_cache()
    assert locale.setlocale(locale.LC_ALL) == spoken
    assert "demo-xl/unet_shallow" in second
    assert all(second.values()), second
