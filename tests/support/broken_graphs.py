"""Real graphs that fail at one input: a UNet that OpenVINO cannot run for one size conditioning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import openvino.opset13 as ops

from support.files import with_own

FATAL = 4321  # pixels: where time_ids have this, a Reshape in the UNet does not fit


def break_unet(source: Path, target: Path) -> Path:
    """A model folder like `source` whose UNet fails where a request's size conditioning has FATAL; it has no seal."""
    with_own("unet", source, target)
    graph = ov.Core().read_model(source / "unet" / "openvino_model.xml")
    sample, ids = graph.input("sample").get_node(), graph.input("time_ids").get_node()
    readers = list(sample.output(0).get_target_inputs())
    largest = ops.reduce_max(ids, ops.constant(np.array([0, 1], np.int64)), False)
    fatal = ops.convert(ops.equal(largest, ops.constant(np.float32(FATAL))), "i64")
    extra = ops.pad(
        ops.reshape(fatal, ops.constant(np.array([1], np.int64)), False),
        ops.constant(np.array([2], np.int64)),
        ops.constant(np.array([1], np.int64)),
        "constant",
        ops.constant(np.int64(0)),
    )
    shaped = ops.reshape(sample, ops.add(ops.shape_of(sample, "i64"), extra), False)
    for reader in readers:
        reader.replace_source_output(shaped.output(0))
    graph.validate_nodes_and_infer_types()
    ov.save_model(graph, target / "new.xml", compress_to_fp16=False)
    del graph
    for end in ("xml", "bin"):
        (target / f"new.{end}").replace(target / "unet" / f"openvino_model.{end}")
    return target
