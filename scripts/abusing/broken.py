"""A copy of a model folder with a UNet that OpenVINO cannot run for one size conditioning."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import openvino as ov
import openvino.opset13 as ops

FATAL = 4321  # pixels: a job with this target width fails


def break_unet(source: Path, target: Path) -> None:
    """Where FATAL is the largest of time_ids, the sample is to be reshaped to one number more than it has."""
    shutil.copytree(source, target)
    (target / "safelight.json").unlink(missing_ok=True)  # its hashes are wrong now
    graph = ov.Core().read_model(source / "unet" / "openvino_model.xml")
    sample, ids = graph.input("sample").get_node(), graph.input("time_ids").get_node()
    readers = list(sample.output(0).get_target_inputs())
    fatal = ops.equal(ops.reduce_max(ids, _numbers(0, 1), False), ops.constant(np.float32(FATAL)))
    more = ops.multiply(ops.convert(fatal, "i64"), _numbers(0, 0, 1, 0))
    reshaped = ops.reshape(sample, ops.add(ops.shape_of(sample, "i64"), more), False)
    for reader in readers:
        reader.replace_source_output(reshaped.output(0))
    graph.validate_nodes_and_infer_types()
    ov.save_model(graph, target / "new.xml", compress_to_fp16=False)
    del graph
    for end in ("xml", "bin"):
        (target / f"new.{end}").replace(target / "unet" / f"openvino_model.{end}")


def _numbers(*values: int) -> ov.Node:
    return ops.constant(np.array(values, np.int64))
