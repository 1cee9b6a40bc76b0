"""What this processor does at most, by OpenVINO itself: graphs of one operation, large and of good shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import openvino as ov
from openvino import opset13 as opset

from . import kinds

MATMUL, CONVOLUTION, COPY = "matrix product", "convolution", "memory"
UNITS = {MATMUL: "GFLOP/s", CONVOLUTION: "GFLOP/s", COPY: "GB/s read and written"}
PEAK_OF = {kinds.MATMUL: MATMUL, kinds.CONVOLUTION: CONVOLUTION, kinds.ATTENTION: MATMUL}


class Probe(NamedTuple):
    """A graph, what to give it, and how much it does: GFLOP, or GB that it reads and writes."""

    peak: str
    graph: Any
    given: np.ndarray[Any, Any]
    work: float


def probes() -> Mapping[str, Probe]:
    """By name. The best of a peak's probes is the peak."""
    found = [_matmul(512), _matmul(1024), _copy(16 * 2**20)]
    found += [_convolution(*shape) for shape in ((512, 16), (256, 32), (1280, 8), (128, 64))]
    return dict(found)


def _matmul(edge: int) -> tuple[str, Probe]:
    given = _noise(1, edge, edge)
    rows = opset.parameter([1, -1, edge], ov.Type.f32)
    graph = ov.Model([opset.matmul(rows, opset.constant(_noise(edge, edge)), False, True)], [rows])
    return f"{edge}x{edge} by {edge}x{edge}", Probe(MATMUL, graph, given, 2 * edge**3 / 1e9)


def _convolution(channels: int, edge: int) -> tuple[str, Probe]:
    """3x3. Only the convolution is counted: its input has to be put in another order first."""
    picture = opset.parameter([-1, channels, -1, -1], ov.Type.f32)
    kernel = opset.constant(_noise(channels, channels, 3, 3) * np.float32(0.01))
    graph = ov.Model([opset.convolution(picture, kernel, [1, 1], [1, 1], [1, 1], [1, 1])], [picture])
    work = 2 * channels**2 * 9 * edge**2 / 1e9
    return f"{channels} to {channels}, 3x3, {edge}x{edge}", Probe(
        CONVOLUTION, graph, _noise(1, channels, edge, edge), work
    )


def _copy(count: int) -> tuple[str, Probe]:
    numbers = opset.parameter([-1], ov.Type.f32)
    graph = ov.Model([opset.multiply(numbers, opset.constant(np.float32(0.5)))], [numbers])
    return f"{count * 4 / 2**20:.0f} MiB scaled", Probe(COPY, graph, _noise(count), 2 * 4 * count / 1e9)


def _noise(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
