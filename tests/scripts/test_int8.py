"""The scripts about INT8: what they take out of a graph, and how they tell what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safelight_server import demo
from safelight_server.model_folder import model_config

pytest.importorskip("nncf")

import measure_int8
import operations

pytestmark = pytest.mark.filterwarnings("ignore")  # NNCF's own

VEGA = demo.FOLDERS["demo-vega"]


def test_a_demo_model_in_floating_point_has_no_int8_left_and_draws_nearly_the_same(tmp_path: Path) -> None:
    import openvino as ov

    measure_int8.float_copy(VEGA, tmp_path / "f32")
    for part in ("unet", "text_encoder", "text_encoder_2"):
        before, after = (
            ov.Core().read_model(model_config.read(folder).graph(part)) for folder in (VEGA, tmp_path / "f32")
        )
        assert any(op.get_element_type().get_type_name() in ("i8", "u8") for op in before.get_ops() if _is_constant(op))
        kinds = {op.get_type_name() for op in after.get_ops()}
        assert "FakeQuantize" not in kinds
        assert not any(
            op.get_element_type().get_type_name() in ("i8", "u8") for op in after.get_ops() if _is_constant(op)
        )
    ids = np.zeros((1, 32), np.int64)
    found = [
        ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"input_ids": ids})[0]
        for graph in (before, after)
    ]
    error = np.linalg.norm(found[0] - found[1]) / np.linalg.norm(found[0])
    assert 0 < error < 0.05


def _is_constant(op: Any) -> bool:
    return bool(op.get_type_name() == "Constant")


def test_the_table_tells_what_is_in_int8_and_what_is_not() -> None:
    config = model_config.read(VEGA)
    found = operations.costs(config.graph("unet"), 8, 32, "f32")
    precisions = {precision for kind, precision in found if kind in ("Convolution", "FullyConnected")}
    assert precisions & {"i8", "u8"}
    lines = list(operations.rows("unet", found))
    assert all(line.count("|") == 6 for line in lines)
    assert sum(float(line.split("|")[-2].strip(" %")) for line in lines) == pytest.approx(100, abs=len(lines) * 0.05)
    plain = operations.costs(config.graph("vae_decoder"), 8, 32, "f32")
    assert not {precision for _, precision in plain} & {"i8", "u8"}
