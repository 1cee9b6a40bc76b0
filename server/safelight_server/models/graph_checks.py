"""What a graph's inputs and outputs say, before it is compiled: whether it can serve, and at which sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safelight_server.errors import LoadError
from safelight_server.model_folder.model_config import ModelConfig

MOST_CHUNKS = 8  # each is one more inference of the encoders, and a longer sequence for every step of the UNet


def text_outputs(graph: Any, path: Path) -> Sequence[str]:
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


def check_unet(graph: Any, config: ModelConfig) -> None:
    """Raises LoadError for a UNet whose inputs are not those that a model of this kind gives it."""
    path = config.graph("unet")
    ports = {name: port.partial_shape for port in graph.inputs for name in port.names}
    needed = {"sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"}
    if config.guidance_embedding is not None:
        needed.add("timestep_cond")
    if missing := needed - ports.keys():
        raise LoadError(f"{path}: the graph has no input {', '.join(sorted(missing))}")
    if extra := ports.keys() - needed:
        raise LoadError(f"{path}: the graph has an input {min(extra)}, which unet/config.json says nothing of")
    ids = 5 if config.kind == "refiner" else 6
    if ports["time_ids"][1].is_static and ports["time_ids"][1].get_length() != ids:
        raise LoadError(f"{path}: a {config.kind} model's time_ids must be {ids} wide, not {ports['time_ids'][1]}")


def max_chunks(graph: Any, tokens: int) -> int:
    """How many chunks of so many tokens the UNet reads one after the other: MOST_CHUNKS, or the one that it was made
    for. As with sizes, OpenVINO is asked, and nothing is run."""
    text = graph.input("encoder_hidden_states").partial_shape
    longer = graph.clone()
    try:
        longer.reshape({"encoder_hidden_states": [1, 2 * tokens, text[2]]})
    except RuntimeError:
        return 1
    return 1 if text[1].is_static or any(map(_is_for_one_length, longer.get_ops())) else MOST_CHUNKS


def _is_for_one_length(op: Any) -> bool:
    """Whether it would have to make more or fewer values than it is given. OpenVINO tells that only as it runs."""
    if op.get_type_name() != "Reshape":
        return False
    given, made = op.get_input_partial_shape(0), op.get_output_partial_shape(0)
    return bool(given.is_static and made.is_static and math.prod(given.to_shape()) != math.prod(made.to_shape()))


def edge_multiple(graph: Any, config: ModelConfig) -> int:
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
