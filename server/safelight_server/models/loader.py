"""Loads one model folder: reads and compiles its graphs, and finds what it can be asked for."""

from __future__ import annotations

import locale
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from safelight_server.diffusion.model_info import Limits, ModelInfo
from safelight_server.diffusion.networks import Networks
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.prompt_tokenizer import PromptTokenizer, load_tokenizer
from safelight_server.diffusion.text_encoder import TextEncoder
from safelight_server.lanes.compiled_graph import shapes_of
from safelight_server.lanes.compiled_network import CompiledNetwork
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network
from safelight_server.model_folder.model_config import ModelConfig

from . import compile_cache, deepcache, inspection, surroundings
from .device import Device
from .graph_checks import check_unet, edge_multiple, max_chunks, text_outputs
from .parts import as_run
from .surgery import operations

AT_ONCE = 2  # networks are compiled at a time: half of the work of one runs on one core only
FEW_STEPS = 8  # with fewer by default, a model has no steps that DeepCache could leave out

OnProgress = Callable[[str], None]  # hears what is being done, for a progress bar


def progress_total(config: ModelConfig) -> int:
    """At most how many times `on_progress` is called while a model is loaded and warmed up."""
    return len(config.encoders) + 4 + config.has_tiny_decoder + 2


def load(
    name: str,
    config: ModelConfig,
    lane: Lane,
    device: Device,
    on_progress: OnProgress,
    *,
    max_edge: int,
    precision: Callable[[str], str] = lambda part: "",
) -> Pipeline:
    """Compiles a model; blocks for seconds to minutes. `precision` says of a part in which; "": as the device does.

    Raises LoadError for graphs that are not as the folder says.
    """
    workshop = _Workshop(name, config, lane, device, on_progress, precision)
    unet = workshop.graph("unet")
    halves = _halves(unet, config)
    networks = _networks(workshop, config, unet, halves)
    info = _info(name, config, device, unet, networks.encoders[0].tokenizer, halves is not None, max_edge)
    info = as_run(info, networks, device)
    nothing = np.zeros((config.latents.channels, 3), np.float32), np.zeros(3, np.float32)
    return Pipeline(info, lane, networks, config.latent_rgb or nothing)


def describe(name: str, config: ModelConfig, device: Device, *, max_edge: int) -> ModelInfo:
    """What a model can be asked for, from its files alone: nothing is compiled, and its precision is not known.

    Blocks for a second or two. Raises LoadError for a UNet that is not as the folder says.
    """
    unet = inspection.read_graph(ov.Core(), config, "unet")
    tokenizer = load_tokenizer(config.tokenizer(config.encoders[0]))
    return _info(name, config, device, unet, tokenizer, _halves(unet, config) is not None, max_edge)


def _halves(unet: Any, config: ModelConfig) -> deepcache.Halves | None:
    """For DeepCache. The cut has its price for exact pictures, too: up to 2 % of a step. It pays where there are steps
    to leave out.
    """
    check_unet(unet, config)
    return deepcache.halves(unet) if config.steps >= FEW_STEPS else None


def _info(
    name: str,
    config: ModelConfig,
    device: Device,
    unet: Any,
    tokenizer: PromptTokenizer,
    has_deep_cache: bool,
    max_edge: int,
) -> ModelInfo:
    multiple = edge_multiple(unet, config)
    return ModelInfo(
        name=name,
        config=config,
        limits=Limits(
            min_edge=max(32, multiple),
            max_edge=max_edge,
            edge_multiple=multiple,
            max_prompt_tokens=tokenizer.max_tokens,
            max_chunks=max_chunks(unet, tokenizer.max_tokens),
        ),
        precision="",
        device=device.name,
        has_deep_cache=has_deep_cache,
        tokenizer=tokenizer,
        identity=surroundings.identity(config, device),
        runtime=surroundings.runtime(),
        processor=surroundings.processor(device.name),
    )


def _networks(workshop: _Workshop, config: ModelConfig, unet: Any, halves: deepcache.Halves | None) -> Networks:
    """Compiles all parts, AT_ONCE at a time, the largest first."""
    with _same_locale(), ThreadPoolExecutor(AT_ONCE) as pool:
        full = pool.submit(workshop.compiled, "unet", halves.full if halves else unet)
        encoders = [pool.submit(workshop.encoder, part) for part in reversed(config.encoders)]
        shallow = pool.submit(workshop.compiled, "unet_shallow", halves.shallow, of="unet") if halves else None
        vae_decoder = pool.submit(workshop.network, "vae_decoder")
        vae_encoder = pool.submit(workshop.network, "vae_encoder", waits=True)  # most people never need it
        tiny_decoder = pool.submit(workshop.network, "vae_tiny_decoder") if config.has_tiny_decoder else None
    return Networks(
        encoders=tuple(encoder.result() for encoder in reversed(encoders)),
        unet=full.result(),
        shallow_unet=shallow.result() if shallow else None,
        vae_encoder=vae_encoder.result(),
        vae_decoder=vae_decoder.result(),
        tiny_decoder=tiny_decoder.result() if tiny_decoder else None,
    )


@contextmanager
def _same_locale() -> Iterator[None]:
    """OpenVINO sets the process's locale to C while it reads its cache; two threads at once leave it there."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


class _Workshop:
    """Reads and compiles the parts of one folder for a lane's device."""

    def __init__(
        self,
        name: str,
        config: ModelConfig,
        lane: Lane,
        device: Device,
        on_progress: OnProgress,
        precision: Callable[[str], str],
    ) -> None:
        self._name, self._config, self._lane, self._device, self._on_progress = name, config, lane, device, on_progress
        self._core, self._precision = ov.Core(), precision

    def graph(self, part: str) -> Any:
        return inspection.read_graph(self._core, self._config, part)

    def network(
        self,
        part: str,
        outputs: Callable[[Any, Path], Sequence[str]] = lambda graph, path: (),
        *,
        waits: bool = False,
    ) -> Network:
        """A part as it lies in its file; the one that another model on this lane has of the same file, if so.

        `waits`: it is compiled when it is first run.
        """
        path = self._config.graph(part)
        # In the hub's cache, folders whose graphs are the same file may have weights of their own.
        files = path.resolve(), path.with_suffix(".bin").resolve()
        if files not in self._lane.networks:
            graph = self.graph(part)
            self._lane.networks[files] = self.compiled(part, graph, outputs=outputs(graph, path), waits=waits)
        return self._lane.networks[files]

    def encoder(self, part: str) -> TextEncoder:
        return TextEncoder(self.network(part, outputs=text_outputs), load_tokenizer(self._config.tokenizer(part)))

    def compiled(
        self, name: str, graph: Any, *, of: str | None = None, outputs: Sequence[str] = (), waits: bool = False
    ) -> Network:
        """A graph that was read from the file of the part `name`, or made from that of the part `of`."""
        part, full_name = of or name, f"{self._name}/{name}"
        weights, device = self._config.graph(part).with_suffix(".bin"), self._device
        if not waits:
            self._on_progress(f"compiling {full_name}")

        def compile(precision: str) -> Any:
            found, on = graph, replace(device, precision=precision or device.precision)
            if part in operations.PARTS:
                found = self.graph(part)  # anew: for another precision it may be as it lies in its file
                operations.operate(found, part, on)
            with compile_cache.settings(device.cache, weights, name) as cached:
                return self._core.compile_model(found, device.name, on.settings() | cached)

        with inspection.explained(self._config.graph(part), device.name):
            shapes = shapes_of(graph) if waits else None
            return CompiledNetwork(full_name, compile, outputs, weights, self._precision(part), shapes)
