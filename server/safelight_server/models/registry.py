"""Owns the models and the lanes that they share: loads them, warms them up, pairs them, and unloads them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.errors import LoadError
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network
from safelight_server.model_folder.model_config import ModelConfig
from safelight_server.observer import SILENT, Observer

from . import loader, warmup
from .device import Device
from .learning import Learning
from .loader import OnProgress
from .notes import Notes

MakeLane = Callable[[str, Observer], Lane]


class Registry:
    """`max_edge`: the largest width and height, in pixels, that a model may be asked for. `notes`: what was learnt of
    graphs before.

    `on_health` is called when a network has broken or is ready again, and when a device is stuck or not.
    """

    def __init__(
        self,
        *,
        max_edge: int,
        notes: Notes | None = None,
        observer: Observer = SILENT,
        make_lane: MakeLane = Lane,
        on_health: Callable[[], None] = lambda: None,
    ) -> None:
        self.max_edge, self.observer, self._make_lane, self._on_health = max_edge, observer, make_lane, on_health
        self._notes = notes or Notes()
        self._lanes: dict[str, Lane] = {}
        self._models: dict[str, Pipeline] = {}
        self._one_at_a_time = asyncio.Lock()

    @property
    def models(self) -> Mapping[str, Pipeline]:
        """Those that are loaded and warm, by name, in the order of loading. It changes with the registry."""
        return MappingProxyType(self._models)

    async def load(
        self,
        name: str,
        config: ModelConfig,
        device: Device,
        *,
        lane: str | None = None,
        limit: int | None = None,
        on_progress: OnProgress = lambda what: None,
    ) -> Pipeline:
        """Loads a model and warms it up, on the lane of that name: by default, the device's. `limit`: bytes that the
        process may take.

        Models on one lane take turns; models on two work at the same time. Raises LoadError, and leaves nothing then.
        """
        key = lane or device.name
        if key not in self._lanes:
            self._lanes[key] = self._make_lane(device.name, self.observer)
            self._lanes[key].on_health(self._on_health)
        async with self._one_at_a_time:
            try:
                learning = Learning(self._notes, config, device, limit)
                model = await self._load(name, config, device, self._lanes[key], learning, on_progress)
            except LoadError:
                await self._close_unused(self._lanes[key], list(self._lanes[key].networks.values()))
                raise
            self._models[name] = model
            self._pair()
        return model

    async def _load(
        self, name: str, config: ModelConfig, device: Device, lane: Lane, learning: Learning, on_progress: OnProgress
    ) -> Pipeline:
        load = partial(loader.load, max_edge=self.max_edge, precision=learning.precision)
        model = await asyncio.to_thread(load, name, config, lane, device, on_progress)
        await warmup.warm(model, learning, on_progress)
        return model

    async def unload(self, name: str) -> None:
        """Closes the networks that no other model uses. The model must have no jobs. Raises KeyError."""
        async with self._one_at_a_time:
            model = self._models.pop(name)
            self._pair()
            await self._close_unused(model.lane, model.networks.all())

    async def _close_unused(self, lane: Lane, networks: Sequence[Network]) -> None:
        """Closes those of a lane's networks that no model has, in the lane's turn; the lane forgets them."""
        used = {id(network) for model in self._models.values() for network in model.networks.all()}
        async with lane.turn():
            for network in networks:
                if id(network) not in used:
                    lane.forget(network)
                    await asyncio.to_thread(network.close)

    def _pair(self) -> None:
        paired = with_refiners({name: model.info for name, model in self._models.items()})
        for name, model in self._models.items():
            model.info = paired[name]


def with_refiners(infos: Mapping[str, ModelInfo]) -> dict[str, ModelInfo]:
    """Each with the names of those that can take its latents over: those of the same latent space."""
    takers = [info for info in infos.values() if info.config.kind != "inpaint"]
    return {
        name: replace(
            info,
            refiners=tuple(
                other.name for other in takers if other.name != name and other.config.latents == info.config.latents
            ),
        )
        for name, info in infos.items()
    }
