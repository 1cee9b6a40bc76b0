"""The kinds of operations that time is told by, and how much there is to calculate in each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

CONVOLUTION, MATMUL, ATTENTION = "convolution", "matrix product", "softmax, with attention's products"
NORM, ELEMENTWISE, MOVES, OTHER = "norm", "elementwise", "reorder, transpose, resize", "other"
KINDS = (CONVOLUTION, MATMUL, ATTENTION, NORM, ELEMENTWISE, MOVES, OTHER)

# By OpenVINO's counters.
MEMBERS: Mapping[str, tuple[str, ...]] = {
    CONVOLUTION: ("Convolution", "ConvolutionBackpropData", "GroupConvolution", "GroupConvolutionBackpropData"),
    MATMUL: ("FullyConnected", "MatMul"),
    ATTENTION: ("ScaledDotProductAttention", "Softmax"),
    NORM: ("MVN", "GroupNormalization", "ReduceMean", "ReduceL2", "SquaredDifference", "NormalizeL2", "RMS"),
    ELEMENTWISE: (
        "Add",
        "Divide",
        "FakeQuantize",
        "Gelu",
        "MulAdd",
        "Multiply",
        "PowerStatic",
        "Relu",
        "Subtract",
        "Swish",
    ),
    MOVES: ("Concat", "Gather", "Interpolate", "Reorder", "Reshape", "Split", "Transpose", "VariadicSplit"),
}
KIND_OF = {type: kind for kind, types in MEMBERS.items() for type in types}


def kind(type: str, name: str) -> str:
    """Of a counter. A Subgraph is what OpenVINO makes code for: all of attention, or a chain of element by element."""
    if type == "Subgraph":
        return ATTENTION if "attn" in name or "attention" in name else ELEMENTWISE
    return KIND_OF.get(type, OTHER)


def gflop(graph: Any) -> dict[str, float]:
    """By kind, of a graph whose shapes are all known: two for each multiplication with its sum."""
    work: dict[str, float] = dict.fromkeys(KINDS, 0.0)
    for op in graph.get_ordered_ops():
        if op.get_type_name() in WORK:
            counted, count = WORK[op.get_type_name()]
            work[counted] += count(op) / 1e9
    return work


def convolutions(graph: Any) -> dict[str, tuple[str, float]]:
    """By name: what it is ("512 to 256, 3x3, 64x64") and its GFLOP. For a graph whose shapes are all known."""
    found = {}
    for op in graph.get_ordered_ops():
        kind_, count = WORK.get(op.get_type_name(), (OTHER, _of_matmul))
        if kind_ == CONVOLUTION:
            ins, outs = op.get_input_shape(0)[1], op.get_output_shape(0)[1]
            kernel = "x".join(map(str, list(op.get_input_shape(1))[2:]))
            large = "x".join(map(str, list(op.get_output_shape(0))[2:]))
            doubled = ", doubled" if op.get_type_name() == "ConvolutionBackpropData" else ""
            found[op.get_friendly_name()] = f"{ins} to {outs}, {kernel}{doubled}, {large}", count(op) / 1e9
    return found


def _of_convolution(op: Any) -> float:
    return 2.0 * _prod(op.get_output_shape(0)) * _prod(list(op.get_input_shape(1))[1:])


def _of_transposed(op: Any) -> float:
    return 2.0 * _prod(op.get_input_shape(0)) * _prod(list(op.get_input_shape(1))[1:])


def _of_matmul(op: Any) -> float:
    inner = int(op.get_input_shape(0)[-2 if op.get_attributes()["transpose_a"] else -1])
    return 2.0 * _prod(op.get_output_shape(0)) * inner


def _of_attention(op: Any) -> float:
    *heads, asked, width = op.get_input_shape(0)
    known, given = op.get_input_shape(1)[-2], op.get_input_shape(2)[-1]
    return 2.0 * _prod([*heads, asked, known, width + given])


def _prod(shape: Iterable[int]) -> float:
    return float(math.prod(shape))


WORK: Mapping[str, tuple[str, Callable[[Any], float]]] = {
    "Convolution": (CONVOLUTION, _of_convolution),
    "ConvolutionBackpropData": (CONVOLUTION, _of_transposed),
    "MatMul": (MATMUL, _of_matmul),
    "ScaledDotProductAttention": (ATTENTION, _of_attention),
}
