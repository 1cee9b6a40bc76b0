"""Loads model folders: compiles their networks, finds their limits, and which of them can follow one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from safelight_server.diffusion.model_info import Limits, ModelInfo
from safelight_server.diffusion.pipeline import Networks, Pipeline
from safelight_server.diffusion.text_encoder import Encoder, load_tokenizer
from safelight_server.errors import LoadError
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network
from safelight_server.model_folder.model_config import ModelConfig

from . import deepcache

AT_ONCE = 2  # networks that are compiled: half of the work has one thread only
FEW_STEPS = 8  # a model that by default takes fewer has nothing that DeepCache could leave out

Told = Callable[[str], None]  # hears what is being done, for a progress bar


@dataclass(frozen=True)
class Device:
    """Where and how to run. `precision` is "f32", "bf16" or "f16", of the arithmetic; None: the device chooses."""

    name: str = "CPU"  # as OpenVINO calls it
    precision: str | None = None
    cache: Path | None = None
    threads: int | None = None  # of a CPU; None: one for each core

    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if self.precision:
            settings["INFERENCE_PRECISION_HINT"] = self.precision
        if self.threads:
            settings["INFERENCE_NUM_THREADS"] = self.threads
        if self.cache:
            settings |= {"CACHE_DIR": str(self.cache), "CACHE_MODE": "OPTIMIZE_SIZE"}
        return settings


def steps(config: ModelConfig) -> int:
    """At most how many times `load` and `warm` tell what they do."""
    return len(config.encoders) + 4 + config.has_tiny_decoder + 2


def load(name: str, config: ModelConfig, lane: Lane, device: Device, told: Told, *, max_edge: int) -> Pipeline:
    """Compiles a model; blocks for seconds to minutes. Raises LoadError for graphs that are not as the folder says."""
    workshop = _Workshop(name, config, lane, device, told)
    unet = workshop.graph("unet")
    _check_unet(unet, config)
    # The cut has its price for exact pictures, too: up to 2 % of a step. It pays where there are steps to leave out.
    halves = deepcache.halves(unet) if config.steps >= FEW_STEPS else None
    networks = _networks(workshop, config, unet, halves)
    multiple = _edge_multiple(unet, config)
    info = ModelInfo(
        name=name,
        config=config,
        limits=Limits(
            min_edge=max(32, multiple),
            max_edge=max_edge,
            edge_multiple=multiple,
            max_prompt_tokens=networks.encoders[0].max_tokens,
        ),
        precision=_short(networks.unet.precision),
        device=device.name,
        has_deep_cache=halves is not None,
    )
    nothing = np.zeros((config.latents.channels, 3), np.float32), np.zeros(3, np.float32)
    return Pipeline(info, lane, networks, config.latent_rgb or nothing)


def _networks(workshop: _Workshop, config: ModelConfig, unet: Any, halves: deepcache.Halves | None) -> Networks:
    """Compiles all parts, AT_ONCE at a time, the largest first."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        full = pool.submit(workshop.compiled, "unet", halves.full if halves else unet)
        encoders = [pool.submit(workshop.encoder, part) for part in reversed(config.encoders)]
        shallow = pool.submit(workshop.compiled, "unet_shallow", halves.shallow, of="unet") if halves else None
        vae_decoder = pool.submit(workshop.network, "vae_decoder")
        vae_encoder = pool.submit(workshop.network, "vae_encoder")
        tiny_decoder = pool.submit(workshop.network, "vae_tiny_decoder") if config.has_tiny_decoder else None
    return Networks(
        encoders=tuple(encoder.result() for encoder in reversed(encoders)),
        unet=full.result(),
        shallow_unet=shallow.result() if shallow else None,
        vae_encoder=vae_encoder.result(),
        vae_decoder=vae_decoder.result(),
        tiny_decoder=tiny_decoder.result() if tiny_decoder else None,
    )


class _Workshop:
    """Reads and compiles the parts of one folder for a lane's device."""

    def __init__(self, name: str, config: ModelConfig, lane: Lane, device: Device, told: Told) -> None:
        self._name, self._config, self._lane, self._device, self._told = name, config, lane, device, told
        self._core = ov.Core()

    def graph(self, part: str) -> Any:
        with self._explained(part):
            return self._core.read_model(self._config.graph(part))

    def network(self, part: str, outputs: Callable[[Any, Path], Sequence[str]] = lambda graph, path: ()) -> Network:
        """A part as it lies in its file; the one that another model on this lane has of the same file, if so."""
        path = self._config.graph(part).resolve()
        if path not in self._lane.networks:
            graph = self.graph(part)
            self._lane.networks[path] = self.compiled(part, graph, outputs=outputs(graph, path))
        return self._lane.networks[path]

    def encoder(self, part: str) -> Encoder:
        return Encoder(self.network(part, outputs=_text_outputs), load_tokenizer(self._config.tokenizer(part)))

    def compiled(self, name: str, graph: Any, *, of: str | None = None, outputs: Sequence[str] = ()) -> Network:
        """A graph that was read from the file of the part `name`, or made from that of the part `of`."""
        part, full_name, settings = of or name, f"{self._name}/{name}", self._device.settings()
        weights = self._config.graph(part).with_suffix(".bin")
        self._told(f"compiling {full_name}")
        if self._device.cache:
            # A cache without weights finds those of a graph that was read before only if it is told where they are.
            settings["WEIGHTS_PATH"] = str(weights)

        def compile() -> Any:
            return self._core.compile_model(graph, self._device.name, settings)

        with self._explained(part):
            return Network(full_name, compile, outputs, weights)

    @contextmanager
    def _explained(self, part: str) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            path = self._config.graph(part)
            raise LoadError(f"{path}: OpenVINO on {self._device.name} says: {_first_line(error)}") from None


def pair(models: Mapping[str, Pipeline]) -> None:
    """Tells every model which others can take its latents over: those of the same latent space."""
    for model in models.values():
        others = (other for other in models.values() if other is not model and other.config.kind != "inpaint")
        refiners = tuple(other.info.name for other in others if other.config.latents == model.config.latents)
        model.info = replace(model.info, refiners=refiners)


def _text_outputs(graph: Any, path: Path) -> Sequence[str]:
    """The features before the last layer, which SDXL was trained on, and of the last encoder the pooled vector."""
    names = {name for port in graph.outputs for name in port.names}
    hidden = sorted(
        (name for name in names if name.startswith("hidden_states.")), key=lambda name: int(name.split(".")[1])
    )
    if len(hidden) < 2:
        raise LoadError(f"{path}: a text encoder must give its hidden states; export again for SDXL")
    if path.parent.name == "text_encoder_2" and "text_embeds" not in names:
        raise LoadError(f"{path}: the second text encoder must give text_embeds, its pooled vector")
    return [hidden[-2], *({"text_embeds"} & names)]


def _check_unet(graph: Any, config: ModelConfig) -> None:
    path = config.graph("unet")
    ports = {name: port.partial_shape for port in graph.inputs for name in port.names}
    needed = {"sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"}
    if config.guidance_embedding is not None:
        needed.add("timestep_cond")
    if missing := needed - ports.keys():
        raise LoadError(f"{path}: the graph has no input {', '.join(sorted(missing))}")
    if any(ports["sample"][axis].is_static for axis in (0, 2, 3)):
        raise LoadError(
            f"{path}: must take any size, and this one takes {ports['sample']}; export again without fixed shapes"
        )
    ids = 5 if config.kind == "refiner" else 6
    if ports["time_ids"][1].is_static and ports["time_ids"][1].get_length() != ids:
        raise LoadError(f"{path}: a {config.kind} model's time_ids must be {ids} wide, not {ports['time_ids'][1]}")


def _edge_multiple(graph: Any, config: ModelConfig) -> int:
    """The finest step of pixel sizes that the UNet's own shapes agree with; OpenVINO is asked, nothing is run.

    Asked now, because one wrong shape at run time can poison a compiled graph.
    """
    for step in (1, 2, 4, 8):
        size = 8 + step  # odd at every level that a multiple of `step` can be odd at
        try:
            graph.clone().reshape({"sample": [1, graph.input("sample").partial_shape[1], size, size]})
        except RuntimeError:
            continue
        return step * config.latents.factor
    raise LoadError(f"{config.folder}/unet/openvino_model.xml: no size fits this graph")


def _short(precision: str) -> str:
    return {"bfloat16": "bf16", "float16": "f16", "float32": "f32", "float": "f32", "f32": "f32"}.get(
        precision, precision
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
