"""What is refused at start, each with one line that names the file; and what is found out while loading."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from safelight_server import demo
from safelight_server.arrays import Array, Pixels
from safelight_server.errors import LoadError
from safelight_server.lanes.lane import Lane
from safelight_server.model_folder import model_config
from safelight_server.model_folder.model_config import Latents
from safelight_server.models import loader, warmup
from safelight_server.models.loader import Device
from safelight_server.pixels import kernels


def load(folder: Path) -> Any:
    return loader.load("m", model_config.read(folder), Lane("CPU"), Device(), lambda told: None, max_edge=2048)


def rewritten(path: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / path
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def removed(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


def made_static(folder: Path) -> None:
    path = folder / "unet" / "openvino_model.xml"
    graph = ov.Core().read_model(path)
    graph.reshape({"sample": [1, 4, 16, 16]})
    ov.save_model(graph, folder / "unet" / "fixed.xml")
    del graph
    for end in ("xml", "bin"):
        (folder / "unet" / f"fixed.{end}").replace(path.with_suffix(f".{end}"))


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
    "spoilt graph": (spoil("unet/openvino_model.xml"), "unet/openvino_model.xml: OpenVINO on CPU says"),
    "not SDXL": (rewritten("unet/config.json", addition_embed_type=None), "addition_embed_type must be 'text_time'"),
    "odd channels": (rewritten("unet/config.json", in_channels=8), "in_channels must be 4, or 9"),
    "unknown scheduler": (
        rewritten("scheduler/scheduler_config.json", _class_name="PNDM"),
        "_class_name must be one of",
    ),
    "odd scheduler": (rewritten("scheduler/scheduler_config.json", prediction_type="flow"), "prediction_type must be"),
    "no number": (rewritten("vae_decoder/config.json", scaling_factor=None), "is not of its kind"),
    "no list": (rewritten("model_index.json", text_encoder=7), "is not of its kind"),
    "no text encoder": (replaced("text_encoder", by="vae_encoder"), "must give its hidden states"),
    "first for second": (replaced("text_encoder_2", by="text_encoder"), "must give text_embeds"),
    "other conditioning": (rewritten("model_index.json", requires_aesthetics_score=True), "time_ids must be 5 wide"),
    "guidance input": (rewritten("unet/config.json", time_cond_proj_dim=16), "no input timestep_cond"),
    "fixed size": (made_static, "must take any size"),
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
    lane, device = Lane("CPU"), Device()
    xl, vega = (
        loader.load(name, model_config.read(demo.FOLDERS[name]), lane, device, lambda told: None, max_edge=512)
        for name in ("demo-xl", "demo-vega")
    )
    assert vega.networks.vae_decoder is xl.networks.vae_decoder
    assert [encoder.network for encoder in vega.networks.encoders] == [
        encoder.network for encoder in xl.networks.encoders
    ]
    assert vega.networks.unet is not xl.networks.unet
    beside = loader.load(
        "b", model_config.read(demo.FOLDERS["demo-vega"]), Lane("CPU"), device, lambda told: None, max_edge=512
    )
    assert beside.networks.vae_decoder is not xl.networks.vae_decoder, "lanes work at the same time"


def test_a_second_start_compiles_nothing(tmp_path: Path) -> None:
    found = model_config.read(demo.FOLDERS["demo-xl"])
    device = Device(cache=tmp_path)

    def from_cache() -> dict[str, bool]:
        model = loader.load("m", found, Lane("CPU"), device, lambda told: None, max_edge=512)
        compiled = {net.name: net._request.get_compiled_model() for net in model.networks.all()}
        return {name: bool(graph.get_property("LOADED_FROM_CACHE")) for name, graph in compiled.items()}

    assert not any(from_cache().values())
    second = from_cache()
    assert "m/unet_shallow" in second
    assert all(second.values()), second


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--model", "x=/nowhere"], "/nowhere/model_index.json: is missing"),
        (["--model", "just-a-name"], "--model must be NAME=DIR"),
        (["--model", "a={base}", "--model", "a={base}"], "--model a is given twice"),
        (["--model", "a={base}", "--listen", "256.0.0.1:1"], "cannot listen on 256.0.0.1:1"),
        (["--model", "a={base}", "--device", "TPU"], "TPU"),
        (["--model", "a={base}", "--device", "b=CPU"], "--device b=CPU: there is no --model b; there are a"),
        (["--model", "a={base}", "--device", "CPU", "--device", "GPU"], "--device is given twice for all models"),
        (["--model", "a={base}", "--threads", "a=none"], "--threads of a must be a whole number from 1 on, not 'none'"),
        (["--slots", "0"], "must be a whole number from 1 on"),
    ],
)
def test_the_command_ends_with_one_clear_line(arguments: list[str], told: str, folders: dict[str, str]) -> None:
    filled = [argument.format(**folders) for argument in arguments]
    listen = [] if "--listen" in filled else ["--listen", "127.0.0.1:0"]
    command = [sys.executable, "-m", "safelight_server", "serve", *listen, *filled]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode in (1, 2)
    assert told in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_graphs_that_do_not_fit_each_other_are_refused(folders: dict[str, str], tmp_path: Path) -> None:
    """A decoder of the right kind, with other channels: only the first run can tell."""
    import openvino.opset13 as ops

    folder = tmp_path / "model"
    shutil.copytree(folders["base"], folder)
    latents = ops.parameter([-1, 5, -1, -1], np.float32, name="latent_sample")
    ov.save_model(ov.Model([ops.result(ops.negative(latents))], [latents]), folder / "vae_decoder/openvino_model.xml")
    command = [sys.executable, "-m", "safelight_server", "serve", "--listen", "127.0.0.1:0", f"--model=m={folder}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    told = ended.stderr.splitlines()[-1]
    assert told == f"safelight-server: {folder}: m/vae_decoder failed on its first run; the log says how"


def test_two_servers_do_not_share_a_port(folders: dict[str, str]) -> None:
    from support.servers import ServerProcess

    with ServerProcess(f"--model=m={folders['base']}") as server:
        command = [sys.executable, "-m", "safelight_server", "serve", f"--model=m={folders['base']}"]
        second = subprocess.run(
            [*command, "--listen", server.address], capture_output=True, text=True, timeout=60, check=False
        )
        assert second.returncode == 1
        assert "cannot listen on" in second.stderr


def test_the_files_tell_what_a_model_is(folders: dict[str, str]) -> None:
    read = {kind: model_config.read(Path(folder)) for kind, folder in folders.items()}
    assert {kind: config.kind for kind, config in read.items()} == {
        "base": "base", "zero_snr": "base", "vega_lcm": "base", "refiner": "refiner", "inpaint": "inpaint"
    }  # fmt: skip
    assert read["refiner"].encoders == ("text_encoder_2",)
    assert (read["vega_lcm"].scheduler, read["vega_lcm"].guidance_embedding) == ("lcm", 16)
    assert (read["base"].native_edge, read["base"].latents) == (128, Latents(4, 8, 0.13025, None, None))


def test_sizes_that_the_graph_does_not_take_are_found_out() -> None:
    """A UNet whose skip connection only fits sizes that are even twice over."""
    import openvino.opset13 as ops

    sample = ops.parameter([-1, 4, -1, -1], np.float32, name="sample")
    small = ops.max_pool(sample, [4, 4], [1, 1], [0, 0], [0, 0], [4, 4]).output(0)
    large = ops.interpolate(small, np.array([4.0, 4.0], np.float32), "nearest", "scales", axes=np.array([2, 3]))
    graph = ov.Model([ops.result(ops.concat([sample, large], 1))], [sample], "skip")
    sample.output(0).get_tensor().set_names({"sample"})
    space: Any = type("Facts", (), {"latents": Latents(4, 8, 1.0, None, None), "folder": Path("x")})
    assert loader._edge_multiple(graph, space) == 32


def test_the_preview_map_is_the_decoder_where_the_decoder_is_linear() -> None:
    matrix = np.array([[0.3, 0.1, 0.0], [-0.1, 0.2, 0.1], [0.05, 0.0, -0.2], [0.0, -0.1, 0.1]], np.float32)
    bias = np.array([0.1, -0.05, 0.0], np.float32)

    async def decode(latents: Array) -> Pixels:
        return kernels.preview_from_latents(latents, matrix, bias).repeat(8, axis=0).repeat(8, axis=1)

    found, offset = asyncio.run(warmup.fit_latent_rgb(decode, Latents(4, 8, 1.0, None, None)))
    assert np.abs(found - matrix).max() < 0.01
    assert np.abs(offset - bias).max() < 0.01


def test_the_preview_map_of_a_model_is_nearer_than_its_mean_colour(folders: dict[str, str]) -> None:
    async def run() -> None:
        model = load(Path(folders["base"]))
        await warmup.warm(model, lambda told: None)
        latents = np.random.default_rng(5).standard_normal((1, 4, 8, 8)).astype(np.float32).repeat(2, 2).repeat(2, 3)
        picture = (await model.decode(latents)).reshape(16, 8, 16, 8, 3).mean(axis=(1, 3))
        preview = await model.preview(latents, tiny=False)
        assert np.abs(preview - picture).mean() < 0.95 * np.abs(picture - picture.mean(axis=(0, 1))).mean()

    asyncio.run(run())
