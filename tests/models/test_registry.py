"""The registry: models that share a lane, that find their refiners, and that are unloaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest
from safelight_server import demo
from safelight_server.engine.engine import Engine
from safelight_server.errors import LoadError
from safelight_server.model_folder import model_config
from safelight_server.models.registry import Registry
from support import compiled
from support.engines import CONFIGS, VEGA, XL, draw, run

DEVICE = compiled.device()
pytestmark = pytest.mark.usefixtures("quick")


def test_models_find_who_can_take_their_latents_over() -> None:
    async def test() -> None:
        registry = Registry(max_edge=512)
        for name, config in CONFIGS.items():
            await registry.load(name, config, DEVICE)
        assert list(registry.models) == list(demo.FOLDERS)
        assert list(registry.models["demo-xl"].info.refiners) == ["demo-vega", "demo-refiner"]
        await registry.unload("demo-refiner")
        assert list(registry.models["demo-xl"].info.refiners) == ["demo-vega"]

    run(test)


def test_an_unloaded_model_takes_its_networks_with_it_and_leaves_what_others_use() -> None:
    async def test() -> None:
        registry = Registry(max_edge=512)
        xl = await registry.load("demo-xl", CONFIGS["demo-xl"], DEVICE)
        vega = await registry.load("demo-vega", CONFIGS["demo-vega"], DEVICE)
        engine = Engine(registry.models, slots=1, queue=0)
        right = await draw(engine, VEGA)
        shared = {network.name for network in vega.networks.all()} & {network.name for network in xl.networks.all()}
        assert shared, "the VAE and the text encoders"
        await registry.unload("demo-xl")
        assert await draw(engine, VEGA) == right
        lane = vega.lane
        assert {network.name for network in lane.networks.values()} <= shared
        assert lane.step_times.seconds(xl.networks.unet.name, (1, 4, 16, 16)) == 0, "it is forgotten"
        assert lane.step_times.seconds(vega.networks.unet.name, (1, 4, 16, 16)) > 0
        again = await registry.load("demo-xl", CONFIGS["demo-xl"], DEVICE)
        assert again.networks.vae_decoder is vega.networks.vae_decoder
        assert await draw(Engine(registry.models, slots=1, queue=0), XL)

    run(test)


def test_unloading_gives_threads_back() -> None:
    async def test() -> None:
        registry = Registry(max_edge=512)
        await registry.load("demo-vega", CONFIGS["demo-vega"], DEVICE)
        before = psutil.Process().num_threads()
        await registry.unload("demo-vega")
        assert psutil.Process().num_threads() < before
        with pytest.raises(KeyError):
            await registry.unload("demo-vega")

    run(test)


def test_a_model_that_cannot_be_loaded_leaves_nothing(folders: dict[str, str], tmp_path: Path) -> None:
    """Its UNet is no graph, and its other parts may have been compiled before that was found out."""
    folder = tmp_path / "model"
    shutil.copytree(folders["base"], folder)
    (folder / "vae_tiny_decoder/openvino_model.xml").write_bytes(b"no graph")

    async def test() -> None:
        registry = Registry(max_edge=512)
        with pytest.raises(LoadError, match="vae_tiny_decoder"):
            await registry.load("m", model_config.read(folder), DEVICE)
        assert not registry.models
        shutil.copytree(folders["base"], folder, dirs_exist_ok=True)
        await registry.load("m", model_config.read(folder), DEVICE)
        assert list(registry.models) == ["m"]

    run(test)
