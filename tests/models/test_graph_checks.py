"""What a graph says before it is compiled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import openvino.opset13 as ops
from safelight_server.models.graph_checks import edge_multiple
from support.engines import CONFIGS


def test_sizes_that_the_graph_does_not_take_are_found_out() -> None:
    """A UNet whose skip connection only fits sizes that are even twice over."""
    sample = ops.parameter([-1, 4, -1, -1], np.float32, name="sample")
    small = ops.max_pool(sample, [4, 4], [1, 1], [0, 0], [0, 0], [4, 4]).output(0)
    large = ops.interpolate(small, np.array([4.0, 4.0], np.float32), "nearest", "scales", axes=np.array([2, 3]))
    graph = ov.Model([ops.result(ops.concat([sample, large], 1))], [sample], "skip")
    sample.output(0).get_tensor().set_names({"sample"})
    assert edge_multiple(graph, replace(CONFIGS["demo-xl"], folder=Path("x"))) == 32
