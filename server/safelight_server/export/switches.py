"""A quantized graph whose every rounding can be turned on and off, and the same graph with some of them taken out.

Each layer in INT8 gets a twin in floating point beside it, and what follows reads a mixture of both. So one compiled
graph tells what each layer costs by itself, as this processor calculates it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np
from openvino import opset13 as ops

SWITCHES = "switches"  # the name of the input: one number for each rounding, 1 is INT8, 0 floating point
VALUES = "values"  # the kind of a rounding that belongs to no layer: of what is added, resized, kept for later

Twin = Callable[[list[Any], Mapping[str, Any]], Any]  # of a layer: from inputs and attributes to a new node
TWINS: Mapping[str, Twin] = {
    "Convolution": lambda inputs, its: ops.convolution(
        *inputs, its["strides"], its["pads_begin"], its["pads_end"], its["dilations"], its["auto_pad"]
    ),
    "MatMul": lambda inputs, its: ops.matmul(*inputs, its["transpose_a"], its["transpose_b"]),
}
# Reading or writing a value takes a processor about as long as so many multiplications.
VALUE = 32


class Rounding(NamedTuple):
    """One thing that is in INT8 in a graph."""

    name: str  # of the layer, or of its FakeQuantize
    kind: str  # a key of TWINS, or VALUES
    work: float = 0.0  # its share of the graph's work, as multiplications; 0 where the shapes are not known


def find(graph: Any) -> list[Rounding]:
    """All roundings of a graph, in the order in which it runs; their work, if its shapes are known."""
    found = [(Rounding(node.get_friendly_name(), _kind(node)), _work(node)) for node in graph.get_ordered_ops()]
    roundings = [(rounding, work) for rounding, work in found if rounding.kind]
    whole = sum(_work(node) for node in graph.get_ops() if node.get_type_name() in TWINS)
    whole += sum(work for rounding, work in roundings if rounding.kind == VALUES)
    return [rounding._replace(work=work / max(whole, 1)) for rounding, work in roundings]


def add(graph: Any, original: Any) -> None:
    """Gives a quantized graph the input SWITCHES. `original` is the graph before, with the same names."""
    switches = ops.parameter([-1], np.float32, name=SWITCHES)
    switches.output(0).set_names({SWITCHES})
    for place, (node, twin) in enumerate(_twins(graph, original, [rounding.name for rounding in find(graph)])):
        readers = _readers(node)  # before the mixture is one
        switch = ops.gather(switches, ops.constant(np.int64(place)), ops.constant(np.int64(0)))
        mixture = ops.add(twin, ops.multiply(switch, ops.subtract(node.output(0), twin)))
        _lead(readers, mixture.output(0))
    graph.add_parameters([switches])
    graph.validate_nodes_and_infer_types()


def take_out(graph: Any, original: Any, names: Collection[str]) -> None:
    """Puts roundings of a quantized graph back into floating point, with the weights that they had."""
    for node, twin in _twins(graph, original, names):
        name = node.get_friendly_name()
        _lead(_readers(node), twin)
        if node.get_type_name() in TWINS:
            node.set_friendly_name(f"{name}/rounded")
            twin.get_node().set_friendly_name(name)
    graph.validate_nodes_and_infer_types()


def _twins(graph: Any, original: Any, names: Collection[str]) -> list[tuple[Any, Any]]:
    """The nodes of some roundings, and for each the output that stands for it in floating point."""
    nodes = {node.get_friendly_name(): node for node in graph.get_ordered_ops() if _kind(node)}
    before = {node.get_friendly_name(): node for node in original.get_ops() if node.get_type_name() in TWINS}
    return [(nodes[name], _twin(nodes[name], before)) for name in names]


def _twin(node: Any, before: Mapping[str, Any]) -> Any:
    if node.get_type_name() == "FakeQuantize":
        return node.input_value(0)
    layer = before[node.get_friendly_name()]
    inputs = []
    for place in range(2):
        given = node.input_value(place)
        if given.get_node().get_type_name() == "FakeQuantize":
            inputs.append(given.get_node().input_value(0))
        else:
            inputs.append(_copied(layer.input_value(place).get_node()))
    return TWINS[node.get_type_name()](inputs, node.get_attributes()).output(0)


def _copied(node: Any) -> Any:
    """A copy of the nodes that weights come from: a constant, as it is or stored in 16 bits."""
    if node.get_type_name() == "Constant":
        return ops.constant(np.array(node.data)).output(0)
    return ops.convert(_copied(node.input_value(0).get_node()), node.get_element_type()).output(0)


def _kind(node: Any) -> str:
    """That of a node which is a rounding; "" for others."""
    kind = node.get_type_name()
    if kind in TWINS:
        given = [node.input_value(place).get_node() for place in range(2)]
        rounded = [one.get_type_name() == "FakeQuantize" for one in given]
        return kind if any(rounded) and all(r or _is_weight(one) for r, one in zip(rounded, given, strict=True)) else ""
    return VALUES if kind == "FakeQuantize" and _readers(node) else ""


def _is_weight(node: Any) -> bool:
    while node.get_type_name() in ("Convert", "Multiply", "Subtract", "Reshape"):
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def _readers(node: Any) -> list[Any]:
    """The inputs that read a node; of a FakeQuantize, those of no layer, since layers are roundings of their own."""
    inputs = list(node.output(0).get_target_inputs())
    if node.get_type_name() != "FakeQuantize":
        return inputs
    return [one for one in inputs if one.get_node().get_type_name() not in (*TWINS, "ShapeOf")]


def _lead(readers: Collection[Any], output: Any) -> None:
    for reader in readers:
        reader.replace_source_output(output)


def _work(node: Any) -> float:
    if node.get_output_size() != 1 or node.output(0).get_partial_shape().is_dynamic:
        return 0.0
    made = prod(node.output(0).get_shape())
    if node.get_type_name() == "Convolution":
        return float(made * prod(node.input_value(1).get_shape()[1:]))
    if node.get_type_name() == "MatMul":
        return float(made * node.input_value(0).get_shape()[-2 if node.get_attributes()["transpose_a"] else -1])
    return float(made * VALUE)
