"""What one model's networks are best run with on this machine: found at its first warm-up, and known at the next."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.lanes.buffers import resident
from safelight_server.lanes.free_memory import available
from safelight_server.lanes.network import Network
from safelight_server.model_folder.model_config import ModelConfig

from . import batch_profile, footprint, precision, surroundings
from .device import Device
from .loader import OnProgress
from .notes import Note, Notes, Subject
from .parts import LIKE, as_run, parts
from .surgery import operations

log = logging.getLogger(__name__)

SHARE = 0.5  # of the memory that is free, for a precision that takes more than the device's own
COLOURS = "vae_decoder"  # whose notes have the preview map that was fitted to it


class Learning:
    """Of a model that is to be loaded. `limit`: bytes that the process may take; None: as many as there are."""

    def __init__(self, notes: Notes, config: ModelConfig, device: Device, limit: int | None = None) -> None:
        self._notes, self._config, self._device, self._limit = notes, config, device, limit

    def precision(self, part: str) -> str:
        """In which its graph is to be compiled; "": as the device does, or nobody knows yet."""
        return self._note(LIKE.get(part, part)).precision

    async def choose(self, model: Pipeline, on_progress: OnProgress) -> None:
        """Measures the precision of each part of which it is not known, and leaves the networks in it."""
        among = precision.candidates(self._device.name)
        for part, networks in parts(self._config, model.networks).items():
            wanted = self._note(LIKE.get(part, part)).precision
            if self._device.measures and not wanted and part not in LIKE and len(among) > 1:
                wanted = await self._try(model, part, networks[0], among, on_progress)
            for network in networks:
                if wanted and network.precision != wanted:
                    async with model.lane.turn():
                        await asyncio.to_thread(network.load, wanted)
        model.info = as_run(model.info, model.networks, self._device)

    def recall(self, model: Pipeline) -> None:
        """What is known of batches and of seconds is as if it had been measured now."""
        for part, networks in parts(self._config, model.networks).items():
            note = self._note(part)
            for network in networks:
                model.lane.batching.recall(network.name, dict(note.batches).get(_short(network), ()))
                model.lane.step_times.recall(network.name, dict(note.seconds).get(_short(network), ()))
                if (each := note.bytes.get(_short(network))) is not None:
                    network.buffers.recall(each)
        if self.knows_colours:
            matrix, bias = self._note(COLOURS).latent_rgb
            model.latent_rgb = np.array(matrix, np.float32), np.array(bias, np.float32)

    @property
    def knows_colours(self) -> bool:
        """Whether the preview map of a model whose folder has none was fitted before."""
        return bool(self._config.latent_rgb is None and self._note(COLOURS).latent_rgb)

    def keep(self, model: Pipeline) -> None:
        """For the next start."""
        for part, networks in parts(self._config, model.networks).items():
            note = self._note(part)
            if not note.batches:
                batches = [[_short(network), model.lane.batching.told(network.name)] for network in networks]
                seconds = [[_short(network), model.lane.step_times.told(network.name)] for network in networks]
                sizes = {_short(network): each for network in networks if (each := network.buffers.each) is not None}
                fitted = part == COLOURS and self._config.latent_rgb is None
                colours = [one.tolist() for one in model.latent_rgb] if fitted else []
                note = replace(note, batches=batches, seconds=seconds, bytes=sizes, latent_rgb=colours)
                self._notes.write(self._subject(part), note)

    async def _try(
        self, model: Pipeline, part: str, network: Network, among: tuple[str, ...], on_progress: OnProgress
    ) -> str:
        on_progress(f"{model.info.name}: measuring {part} in {' and '.join(among)}")
        rows = [
            self._row(model, part, network, edge) for edge in (model.info.limits.small_edge, model.config.native_edge)
        ]
        seconds = await precision.choose(model.lane, network, rows, among, lambda name: self._fits(part, name))
        chosen = network.precision
        told = ", ".join(f"{name} {took:.3g} s" for name, took in seconds.items())
        log.info("%s is run in %s: at %d px it takes %s", network.name, chosen, model.config.native_edge, told)
        self._notes.write(self._subject(part), Note(precision=chosen, tried=seconds))
        return chosen

    def _row(self, model: Pipeline, part: str, network: Network, edge: int) -> Mapping[str, np.ndarray]:
        for name, encoder in zip(self._config.encoders, model.networks.encoders, strict=True):
            if name == part:
                return {network.input: np.array([encoder.tokenizer.literal("a few words")[0].ids])}
        latents = edge // model.config.latents.factor
        return batch_profile.random_row(network, latents, 0, model.info.limits.max_prompt_tokens)

    def _fits(self, part: str, name: str) -> bool:
        """Whether there is memory for what a precision takes more than the device's own."""
        own = precision.usual(self._device.name)
        file = self._config.graph(part).with_suffix(".bin")
        more = file.stat().st_size * (footprint.TIMES[name] - footprint.TIMES[own])
        if self._limit is not None and resident() + more > self._limit:
            return False
        return more <= available() * SHARE

    def _note(self, part: str) -> Note:
        return self._notes.read(self._subject(part))

    def _subject(self, part: str) -> Subject:
        device = self._device
        return Subject(
            f"{self._config.folder.name}/{part}",
            f"{_files(self._config, part)} {device.name} {device.threads} {device.precision} {device.measures}",
            {
                "OpenVINO": surroundings.runtime(),
                "the processor": surroundings.processor(device.name),
                "the number of cores": str(os.cpu_count()),
                "what is changed in graphs": operations.told(replace(device, precision="f32")),
            },
        )


def _short(network: Network) -> str:
    """Its name without the model's: models that share it may come in any order."""
    return network.name.rpartition("/")[2]


def _files(config: ModelConfig, part: str) -> str:
    """Digests of a graph and its weights where the folder is sealed; else where they lie, and how they are."""
    graph = config.graph(part)
    return " ".join(_told(config, part, file) for file in (graph, graph.with_suffix(".bin")))


def _told(config: ModelConfig, part: str, file: Path) -> str:
    return config.manifest.hashes.get(f"{part}/{file.name}") or surroundings.stamp(file.resolve())
