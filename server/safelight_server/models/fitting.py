"""Fits a graph's inputs and outputs to what a pipeline gives and takes: any rows, any size, float32.

Tools save graphs with other shapes and types than they were converted with: one timestep for all rows, a batch of two,
a fixed size, float16 outputs. Nearly all of them can be made what they were before.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openvino as ov
from openvino.preprocess import PrePostProcessor

from safelight_server.errors import LoadError

ANY = -1
AS_IT_IS = None

Wanted = Mapping[str, tuple[int | None, ...]]  # the shape of each input; the first axis is rows

UNET: Wanted = {
    "sample": (ANY, AS_IT_IS, ANY, ANY),
    "timestep": (ANY,),
    "encoder_hidden_states": (ANY, ANY, AS_IT_IS),  # Optimum fixes the tokens at 77, and long prompts have more
    "text_embeds": (ANY, AS_IT_IS),
    "time_ids": (ANY, AS_IT_IS),
    "timestep_cond": (ANY, AS_IT_IS),
}
TEXT_ENCODER: Wanted = {"input_ids": (ANY, AS_IT_IS)}
VAE_ENCODER: Wanted = {"sample": (ANY, AS_IT_IS, ANY, ANY)}
VAE_DECODER: Wanted = {"latent_sample": (ANY, AS_IT_IS, ANY, ANY)}
PARTS: Mapping[str, Wanted] = {
    "unet": UNET,
    "text_encoder": TEXT_ENCODER,
    "text_encoder_2": TEXT_ENCODER,
    "vae_encoder": VAE_ENCODER,
    "vae_decoder": VAE_DECODER,
    "vae_tiny_decoder": VAE_DECODER,
}


def fit(graph: Any, part: str, path: Path) -> Any:
    """The graph, an ov.Model read from `path`, as the part of that name is used.

    An input that is one value for all rows, as some graphs have the timestep, may stay so: see `is_shared` of lanes.
    Raises LoadError, with the input's name, for what cannot be fitted.
    """
    wanted = PARTS[part]
    ports = _ports(graph, wanted)
    if extra := ports.keys() - wanted.keys():
        raise LoadError(f"{path}: the graph has an input {min(extra)}, which nothing here can fill")
    graph = _in_float32(graph)
    changes = {name: shape for name in ports if (shape := _loosened(name, ports[name], wanted[name], path))}
    if "timestep" in changes and not _reshapes(graph, changes):
        del changes["timestep"]
    if changes:
        if not _reshapes(graph, changes):
            stuck = next((name for name in changes if not _reshapes(graph, {name: changes[name]})), min(changes))
            raise LoadError(
                f"{path}: input {stuck} takes {ports[stuck]} alone, and this graph cannot be made to take "
                f"{changes[stuck]}; export again without fixed shapes"
            )
        graph.reshape(changes)
    return graph


def _ports(graph: Any, wanted: Wanted) -> dict[str, Any]:
    """The shapes of the inputs by name. The only input of a graph may have any name."""
    if len(graph.inputs) == len(wanted) == 1:
        (name,) = wanted
        port = graph.inputs[0]
        if name not in port.names:
            port.tensor.add_names({name})
        return {name: port.partial_shape}
    return {_name(port, wanted): port.partial_shape for port in graph.inputs}


def _name(port: Any, wanted: Wanted) -> str:
    names: set[str] = set(port.names)
    known = names & wanted.keys()
    return min(known or names, default=str(port.node.get_friendly_name()))


def _in_float32(graph: Any) -> Any:
    """With a conversion at every input and output of another float type; integers are cast as they are given."""
    odd_inputs = [port for port in graph.inputs if _is_odd(port)]
    odd_outputs = [index for index, port in enumerate(graph.outputs) if _is_odd(port)]
    if not odd_inputs and not odd_outputs:
        return graph
    wrapped = PrePostProcessor(graph)
    for port in odd_inputs:
        wrapped.input(min(port.names)).tensor().set_element_type(ov.Type.f32)
    for index in odd_outputs:
        wrapped.output(index).tensor().set_element_type(ov.Type.f32)
    return wrapped.build()


def _is_odd(port: Any) -> bool:
    return bool(port.element_type.is_real()) and port.element_type != ov.Type.f32


def _loosened(name: str, declared: Any, wanted: tuple[int | None, ...], path: Path) -> Any | None:
    """The shape that an input is to have; None: it may stay as it is."""
    if declared.rank.is_dynamic:
        return ov.PartialShape([ANY] * len(wanted))
    rank = declared.rank.get_length()
    if rank == 0 and len(wanted) == 1:
        return None  # one value for all rows
    if rank != len(wanted):
        raise LoadError(f"{path}: input {name} must have {len(wanted)} dimensions, and has {declared}")
    axes = [ov.Dimension(ANY) if size == ANY else axis for size, axis in zip(wanted, declared, strict=True)]
    target = ov.PartialShape(axes)
    return target if target != declared else None


def _reshapes(graph: Any, changes: Mapping[str, Any]) -> bool:
    """Whether the graph takes these shapes, and then any number of rows: what was folded into it shows up here."""
    try:
        loose = graph.clone()
        loose.reshape(dict(changes))
        return all(_rows(loose.clone(), rows) in (rows, ANY) for rows in (1, 2, 3))
    except RuntimeError:
        return False


def _rows(graph: Any, rows: int) -> int:
    """How many rows the first output has when the inputs that may have any number of rows have so many."""
    given = {
        index: ov.PartialShape([rows if axis == 0 and size.is_dynamic else size for axis, size in enumerate(shape)])
        for index, shape in enumerate(port.partial_shape for port in graph.inputs)
    }
    graph.reshape(given)
    first = graph.outputs[0].partial_shape[0]
    return int(first.get_length()) if first.is_static else ANY
