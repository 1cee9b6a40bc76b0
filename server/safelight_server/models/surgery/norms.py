"""GroupNorm in the layout that convolutions have: channels last.

OpenVINO runs a GroupNorm as a normalization of rows (MVN), for which the numbers of a group must lie in one row. A
convolution reads and writes all channels of a pixel side by side. So before each GroupNorm the whole picture is put in
another order, and back again behind it, which takes as long as the rest of it. Here each channel's sums come first,
which either layout gives. The groups' are convolutions of one pixel by a table, and OpenVINO keeps the layout through
them. Then the picture is scaled and shifted once, SiLU fused to it.

The variance is that around the group's mean, as before: the mean of the squares less the square of the mean would lose
digits where the mean is large. Exact but for rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as opset

PIXELS = np.array([2, 3])  # the axes
CONVOLUTIONS = ("Convolution", "ConvolutionBackpropData")


def operate(graph: Any) -> int:
    """Changes an ov.Model where a convolution writes what a GroupNorm reads; how often that was."""
    found = [
        op for op in graph.get_ordered_ops() if _is_of_pictures(op) and _is_written_by_convolution(op.input_value(0))
    ]
    for norm in found:
        normal = _channels_last(norm)
        normal.set_friendly_name(norm.get_friendly_name())
        norm.output(0).replace(normal.output(0))
    graph.validate_nodes_and_infer_types()
    return len(found)


def _is_of_pictures(op: Any) -> bool:
    if op.get_type_name() != "GroupNormalization" or op.get_output_element_type(0) != ov.Type.f32:
        return False
    shape = op.get_output_partial_shape(0)
    return bool(shape.rank.is_static and len(shape) == 4 and shape[1].is_static)


def _is_written_by_convolution(port: Any) -> bool:
    """By itself, or with a sum that OpenVINO fuses to it: a bias, or what passes a block by.

    Behind all else the layout is as often one as the other. It hung on the order of the operations, which is not the
    same in a graph from OpenVINO's cache: after a restart, a picture's last bits were others.
    """
    op = port.get_node()
    if op.get_type_name() in CONVOLUTIONS:
        return True
    return op.get_type_name() == "Add" and any(
        len(value.get_target_inputs()) == 1 and _is_written_by_convolution(value) for value in op.input_values()
    )


def _channels_last(norm: Any) -> Any:
    """Nothing but convolutions has a say in the layout: constants are kernels, and stand beside no channel's number."""
    picture, scale, shift = norm.input_values()
    groups, epsilon = norm.get_attributes()["num_groups"], norm.get_attributes()["epsilon"]
    channels = norm.get_output_partial_shape(0)[1].get_length()
    member = np.repeat(np.eye(groups, dtype=np.float32), channels // groups, axis=1)[:, :, None, None]
    to_channels = member.transpose(1, 0, 2, 3)

    def of_group(value: Any) -> Any:
        every = opset.reduce_mean(value, opset.constant(PIXELS), True)
        return _by(opset.constant(member * np.float32(groups / channels)), every)

    mean = of_group(picture)
    variance = of_group(opset.squared_difference(picture, _by(opset.constant(to_channels.copy()), mean)))
    factor = opset.power(opset.add(variance, np.float32(epsilon)), np.float32(-0.5))
    scales = opset.multiply(opset.constant(to_channels.copy()), _floats(scale, (channels, 1, 1, 1)))
    moved = opset.subtract(_floats(shift, (1, channels, 1, 1)), _by(scales, opset.multiply(mean, factor)))
    return opset.add(opset.multiply(picture, _by(scales, factor)), moved)


def _by(kernel: Any, pixel: Any) -> Any:
    return opset.convolution(pixel, kernel, [1, 1], [0, 0], [0, 0], [1, 1])


def _floats(weights: Any, shape: tuple[int, ...]) -> Any:
    return opset.reshape(opset.convert(weights, "f32"), opset.constant(np.array(shape)), False)
