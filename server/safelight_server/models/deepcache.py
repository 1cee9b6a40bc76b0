"""Cuts a UNet's graph in two, so that most steps run its outermost layers only: DeepCache, with no new export.

Ma, Fang, Wang (2023), "DeepCache: Accelerating Diffusion Models for Free", arXiv 2312.00858: from one step to the next
what the deep layers say hardly changes, so it is kept, and read again by the next few steps. The cut is the paper's
branch 0, the outermost skip: the first convolution, the last residual block and the last convolution are left.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from openvino.op import Parameter

from safelight_server.diffusion.networks import FEATURE

# A concatenation of an up block itself, not of the layers in it, as OpenVINO's PyTorch frontend names it.
CONCATENATION = re.compile(r"\bup_blocks\.(\d+)/aten::cat/")

LAYERS = ("Convolution", "MatMul")  # where the time goes
SHARE = 0.25  # of them, at most, for a shallow graph to be worth it


class Halves(NamedTuple):
    """Two graphs on the same weights; the first output of each is the noise prediction."""

    full: Any  # ov.Model: the UNet, and as one output more the feature (rows, channels, height, width)
    shallow: Any  # ov.Model: those of the UNet's inputs that it still reads, by their names, and the feature


def halves(graph: Any) -> Halves | None:
    """The two halves of a UNet, an ov.Model, which stays as it is; None for a graph that has no such place to be cut.

    Clones of a graph share its constants' memory, so neither half has weights of its own until it is compiled.
    """
    full, shallow = graph.clone(), graph.clone()
    feature, replaced = _feature(full), _feature(shallow)
    if feature is None or replaced is None:
        return None
    _cut(shallow, replaced)
    if _layers(shallow) > SHARE * _layers(full):
        return None
    (output,) = full.add_outputs([feature])
    output.get_tensor().set_names({FEATURE})
    return Halves(full, shallow)


def _feature(graph: Any) -> Any | None:
    """The port that gives the last up block's last concatenation its first part; the second is the skip."""
    blocks = [
        (int(match[1]), place, op)
        for place, op in enumerate(graph.get_ordered_ops())
        if (match := CONCATENATION.search(op.get_friendly_name())) and op.get_type_name() == "Concat"
    ]
    if not blocks:
        return None
    *_, last = max(blocks)
    port = last.input_value(0)
    while port.get_node().get_type_name() == "FakeQuantize":  # stays beside the layer that is to run in INT8
        port = port.get_node().input_value(0)
    return port


def _cut(graph: Any, feature: Any) -> None:
    """Puts an input in the place of `feature`, and takes away the inputs that nothing reads any more."""
    given = Parameter(feature.get_element_type(), feature.get_partial_shape())
    given.set_friendly_name(FEATURE)
    given.output(0).get_tensor().set_names({FEATURE})
    for reader in feature.get_target_inputs():
        reader.replace_source_output(given.output(0))
    graph.add_parameters([given])
    read = _read(graph)
    for parameter in graph.get_parameters():
        if parameter.get_name() not in read:
            graph.remove_parameter(parameter)
    graph.validate_nodes_and_infer_types()


def _read(graph: Any) -> set[str]:
    """The names of the nodes that the results come from."""
    names: set[str] = set()
    waiting = list(graph.get_results())
    while waiting:
        op = waiting.pop()
        if op.get_name() not in names:
            names.add(op.get_name())
            waiting += [port.get_node() for port in op.input_values()]
    return names


def _layers(graph: Any) -> int:
    return sum(op.get_type_name() in LAYERS for op in graph.get_ops())
