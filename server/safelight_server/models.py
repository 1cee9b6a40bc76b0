"""Loads model folders: compiles their networks, finds their limits, warms them, and fits their preview map."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from .cards import Card, Limits
from .errors import InferenceFailed, LoadError
from .facts import Facts, Latents
from .jobs import Array, Job, Pixels, Solver, Words
from .lane import Lane
from .network import Network
from .pipeline import Networks, Pipeline
from .text import Encoder, load_tokenizer

Told = Callable[[str], None]  # hears what is being done, for a progress bar


@dataclass(frozen=True)
class Device:
    """Where and how exactly to run: an OpenVINO device, "f32", "bf16", "f16" or None for the device's own choice."""

    name: str = "CPU"
    precision: str | None = None
    cache: Path | None = None

    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if self.precision:
            settings["INFERENCE_PRECISION_HINT"] = self.precision
        if self.cache:
            settings |= {"CACHE_DIR": str(self.cache), "CACHE_MODE": "OPTIMIZE_SIZE"}
        return settings


def steps(facts: Facts) -> int:
    """How many times `load` and `warm` tell that something is done."""
    return len(facts.encoders) + 4 + facts.has_tiny_decoder + 1


def load(name: str, facts: Facts, lane: Lane, device: Device, told: Told, *, max_edge: int) -> Pipeline:
    """Compiles a model; blocks for seconds to minutes. Raises LoadError for graphs that are not as the folder says."""
    core = ov.Core()

    def network(part: str, outputs: Callable[[Any, Path], Sequence[str]] = lambda graph, path: ()) -> Network:
        told(f"{name}: compiling {part}")
        path = facts.graph(part)
        try:
            graph = core.read_model(path)
            wanted = outputs(graph, path)
            return Network(f"{name}/{part}", lambda: core.compile_model(graph, device.name, device.settings()), wanted)
        except RuntimeError as error:
            raise LoadError(f"{path}: OpenVINO on {device.name} says: {_first_line(error)}") from None

    networks = Networks(
        encoders=tuple(
            Encoder(network(part, _text_outputs), load_tokenizer(facts.tokenizer(part))) for part in facts.encoders
        ),
        unet=network("unet", lambda graph, path: _check_unet(graph, path, facts)),
        vae_encoder=network("vae_encoder"),
        vae_decoder=network("vae_decoder"),
        tiny_decoder=network("vae_tiny_decoder") if facts.has_tiny_decoder else None,
    )
    multiple = _edge_multiple(core.read_model(facts.graph("unet")), facts)
    card = Card(
        name=name,
        facts=facts,
        limits=Limits(
            min_edge=max(32, multiple),
            max_edge=max_edge,
            edge_multiple=multiple,
            max_prompt_tokens=networks.encoders[0].max_tokens,
        ),
        precision=_short(networks.unet.precision),
        device=device.name,
    )
    nothing = np.zeros((facts.latents.channels, 3), np.float32), np.zeros(3, np.float32)
    return Pipeline(card, lane, networks, facts.latent_rgb or nothing)


async def warm(model: Pipeline, told: Told) -> None:
    """Runs every network once, as the first inference repacks the weights; fits the preview map where there is none.

    Raises LoadError where one fails: then the graphs of the folder do not fit each other.
    """
    told(f"{model.card.name}: warming")
    try:
        await _run_all(model)
        fitted = await fit_latent_rgb(model.decode, model.facts.latents)
    except InferenceFailed as error:
        raise LoadError(f"{model.facts.folder}: {error.network} failed on its first run; the log says how") from None
    model.latent_rgb = model.facts.latent_rgb or fitted


async def _run_all(model: Pipeline) -> None:
    """All networks but the VAE decoder, at a small size."""
    edge = max(model.card.limits.min_edge, 64)
    words = Words("warm", "warm", "cold", "cold")
    job = Job("warm", model.card.name, words, (edge, edge), 1, 5.0, 0.0, (0,), Solver(model.facts.sampler))
    latents = edge // model.facts.latents.factor
    channels, pixels = model.facts.latents.channels, (1, 3, edge, edge)
    conditioning = await model.encode(job, refines=False)
    unet_channels = 2 * channels + 1 if model.facts.kind == "inpaint" else channels
    sample = np.zeros((conditioning.rows, unet_channels, latents, latents), np.float32)
    timestep = np.zeros(conditioning.rows)
    await model.lane.run(model.networks.unet, {"sample": sample, "timestep": timestep, **conditioning.inputs})
    await model.lane.run(model.networks.vae_encoder, {"sample": np.zeros(pixels, np.float32)})
    if model.networks.tiny_decoder is not None:
        await model.preview(np.zeros((1, channels, latents, latents), np.float32), tiny=True)


def pair(models: Mapping[str, Pipeline]) -> None:
    """Tells every model which others can take its latents over: those of the same latent space."""
    for model in models.values():
        others = (other for other in models.values() if other is not model and other.facts.kind != "inpaint")
        refiners = tuple(other.card.name for other in others if other.facts.latents == model.facts.latents)
        model.card = replace(model.card, refiners=refiners)


async def fit_latent_rgb(decode: Callable[[Array], Awaitable[Pixels]], space: Latents) -> tuple[Array, Array]:
    """The linear map from latents to RGB in -1..1 that is nearest to a decoder, by least squares over small patches."""
    edge = 32
    patches = np.random.default_rng(0).standard_normal((1, space.channels, edge // 2, edge // 2))
    latents = patches.repeat(2, axis=2).repeat(2, axis=3).astype(np.float32)
    picture = await decode(latents)
    blocks = picture.reshape(edge, space.factor, edge, space.factor, 3).mean(axis=(1, 3)).reshape(-1, 3) / 127.5 - 1
    columns = np.column_stack([latents.reshape(space.channels, -1).T, np.ones(edge * edge)])
    solution = np.linalg.lstsq(columns, blocks, rcond=None)[0].astype(np.float32)
    return np.ascontiguousarray(solution[:-1]), np.ascontiguousarray(solution[-1])


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


def _check_unet(graph: Any, path: Path, facts: Facts) -> Sequence[str]:
    ports = {name: port.partial_shape for port in graph.inputs for name in port.names}
    needed = {"sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"}
    if facts.guidance_embedding is not None:
        needed.add("timestep_cond")
    if missing := needed - ports.keys():
        raise LoadError(f"{path}: the graph has no input {', '.join(sorted(missing))}")
    if any(ports["sample"][axis].is_static for axis in (0, 2, 3)):
        raise LoadError(
            f"{path}: must take any size, and this one takes {ports['sample']}; export again without fixed shapes"
        )
    ids = 5 if facts.kind == "refiner" else 6
    if ports["time_ids"][1].is_static and ports["time_ids"][1].get_length() != ids:
        raise LoadError(f"{path}: a {facts.kind} model's time_ids must be {ids} wide, not {ports['time_ids'][1]}")
    return ()


def _edge_multiple(graph: Any, facts: Facts) -> int:
    """The finest step of pixel sizes that the UNet's own shapes agree with; OpenVINO is asked, nothing is run.

    Asked now, because one wrong shape at run time can poison a compiled graph.
    """
    for step in (1, 2, 4, 8):
        size = 8 + step  # odd at every level that a multiple of `step` can be odd at
        try:
            graph.clone().reshape({"sample": [1, graph.input("sample").partial_shape[1], size, size]})
        except RuntimeError:
            continue
        return step * facts.latents.factor
    raise LoadError(f"{facts.folder}/unet/openvino_model.xml: no size fits this graph")


def _short(precision: str) -> str:
    return {"bfloat16": "bf16", "float16": "f16", "float32": "f32", "float": "f32", "f32": "f32"}.get(
        precision, precision
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
