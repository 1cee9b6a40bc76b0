"""A picture doubled by its nearest pixels and then convolved 3x3: one transposed convolution of the small picture.

Of the nine pixels that a 3x3 kernel reads in a picture doubled so, some are the same pixel of the small one. Their
weights may be summed first: each of the four pixels that one becomes hangs on 2x2 of the small picture. So 4/9 of the
multiplications are left, and the doubled picture is never written. All four are one transposed convolution with stride
2 and a 4x4 kernel; zeros around the large picture are zeros around the small one. It is exact but for rounding, as
sums of weights are rounded, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from openvino import opset13 as opset

PLAIN = {"strides": [1, 1], "dilations": [1, 1], "pads_begin": [1, 1], "pads_end": [1, 1], "auto_pad": "explicit"}
# Other ways to round take other pixels; and a size that is worked out as the graph runs, as in a UNet, may be odd.
NEAREST = {
    "mode": "nearest",
    "shape_calculation_mode": "scales",
    "coordinate_transformation_mode": "asymmetric",
    "nearest_mode": "floor",
    "pads_begin": [0] * 4,
    "pads_end": [0] * 4,
}


def operate(graph: Any) -> int:
    """Changes an ov.Model where it has the pattern; how often it had."""
    found = [op for op in graph.get_ordered_ops() if _follows_a_doubling(op)]
    for convolution in found:
        small = convolution.input_value(0).get_node().input_value(0)
        large = opset.convolution_backprop_data(
            small,
            _summed(convolution.input_value(1)),
            strides=[2, 2],
            pads_begin=[1, 1],
            pads_end=[1, 1],
            dilations=[1, 1],
        )
        large.set_friendly_name(convolution.get_friendly_name())
        convolution.output(0).replace(large.output(0))
    graph.validate_nodes_and_infer_types()
    return len(found)


def _follows_a_doubling(op: Any) -> bool:
    """With weights in floats that are known now, and nobody else reads the doubled picture."""
    if op.get_type_name() != "Convolution" or not _has(op, PLAIN):
        return False
    source, weights = op.input_value(0), op.input_value(1)
    three = list(weights.get_partial_shape())[2:] == [3, 3]
    return three and _is_known(weights) and _doubles(source.get_node()) and len(source.get_target_inputs()) == 1


def _doubles(op: Any) -> bool:
    if op.get_type_name() != "Interpolate" or op.get_input_size() != 3 or not _has(op, NEAREST):
        return False
    scales, axes = (op.input_value(index).get_node() for index in (1, 2))
    if {scales.get_type_name(), axes.get_type_name()} != {"Constant"}:
        return False
    return bool(np.array_equal(scales.data, [2, 2]) and np.array_equal(axes.data, [2, 3]))


def _has(op: Any, wanted: dict[str, Any]) -> bool:
    found = op.get_attributes()
    return all(name in found and _plain(found[name]) == value for name, value in wanted.items())


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, bool)) else list(value)


def _is_known(weights: Any) -> bool:
    """A constant of floats, or one that is stored in f16 and read in f32. Weights in INT8 have more between."""
    op = weights.get_node()
    if op.get_type_name() == "Convert":
        op = op.input_value(0).get_node()
    return bool(op.get_type_name() == "Constant" and op.get_output_element_type(0).is_real())


def _summed(weights: Any) -> Any:
    """Those of the transposed convolution, as operations on the constant, which stays in the mapped file.

    OpenVINO works them out once, as it compiles. Nothing is held beside the file's weights and its own packed copy.
    """
    stored = weights.get_node()
    constant = stored.input_value(0) if stored.get_type_name() == "Convert" else weights
    kernel = opset.transpose(opset.convert(constant, "f32"), opset.constant(np.array([1, 0, 2, 3])))
    for axis in (2, 3):
        first, middle, last = opset.split(kernel, opset.constant(axis), 3).outputs()
        kernel = opset.concat([last, opset.add(middle, last), opset.add(first, middle), first], axis)
    return kernel
