"""The networks of a model folder, as their files have them and as they are served, and what to give them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openvino as ov
from safelight_server.model_folder import model_config
from safelight_server.models import inspection
from safelight_server.models.device import Device
from safelight_server.models.surgery import operations

from . import kinds

TOKENS = 77
PARTS = ("vae_decoder", "unet")
FILE, SERVED = "as in the file", "as served"


class Subject(NamedTuple):
    """A graph to be profiled. `work` is its GFLOP by kind; `layers` its convolutions by name."""

    part: str
    way: str
    graph: Any
    given: dict[str, np.ndarray[Any, Any]]
    work: dict[str, float]
    layers: dict[str, tuple[str, float]]


def subjects(folder: Path, parts: Sequence[str], size: int, rows: int, device: Device) -> list[Subject]:
    """Two ways of a part whose graph is changed when it is loaded, one of the others."""
    core, config = ov.Core(), model_config.read(folder)
    found = []
    for part in parts:
        graph = inspection.read_graph(core, config, part)
        found.append(_subject(part, FILE, graph, size // config.latents.factor, rows))
        served = graph.clone()
        if operations.operate(served, part, device):
            found.append(_subject(part, SERVED, served, size // config.latents.factor, rows))
    return found


def _subject(part: str, way: str, graph: Any, latents: int, rows: int) -> Subject:
    given = _inputs(graph, latents, rows if part == "unet" else 1)
    fixed = graph.clone()
    fixed.reshape({name: list(value.shape) for name, value in given.items()})
    return Subject(part, way, graph, given, kinds.gflop(fixed), kinds.convolutions(fixed))


def _inputs(graph: Any, latents: int, rows: int) -> dict[str, np.ndarray[Any, Any]]:
    """Noise of the size of a picture; a step in the middle."""
    rng, given = np.random.default_rng(0), {}
    for port in graph.inputs:
        inner = [axis.get_length() if axis.is_static else TOKENS for axis in list(port.partial_shape)[1:]]
        if len(inner) == 3:
            inner[1:] = [latents, latents]
        shape = (rows, *inner) if port.partial_shape.rank.get_length() else ()
        noise = rng.standard_normal(shape, dtype=np.float32)
        given[port.any_name] = (
            noise if port.element_type.is_real() else np.full(shape, 500, port.element_type.to_dtype())
        )
    return given
