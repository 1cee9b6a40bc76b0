"""What stays in floating point, on a graph in which one layer is made to suffer from INT8."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

pytest.importorskip("nncf")
pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]  # NNCF's own

WIDTH, LOUD = 32, 400.0


def layers(loud: bool) -> Any:
    """Five convolutions in a row, the third of one pixel; if `loud`, one of the channels that it reads is far larger
    than all others, and its weights so much smaller: the same picture, but nothing for INT8 with one scale."""
    random = np.random.default_rng(0)
    sample = ops.parameter([-1, 4, -1, -1], np.float32, name="latent_sample")
    sample.output(0).set_names({"latent_sample"})
    made: Any = sample
    for name, edge, given in (("a", 3, 4), ("b", 3, WIDTH), ("c", 1, WIDTH), ("d", 3, WIDTH), ("e", 3, WIDTH)):
        weights = random.normal(0, (given * edge * edge) ** -0.5, (WIDTH, given, edge, edge)).astype(np.float32)
        if loud and name == "b":
            weights[7] *= LOUD
        if loud and name == "c":
            weights[:, 7] /= LOUD
        pad = [edge // 2] * 2
        made = ops.convolution(ops.relu(made) if name != "a" else made, weights, [1, 1], pad, pad, [1, 1])
        made.set_friendly_name(name)
    return ov.Model([made], [sample], "layers")


def quantized(folder: Path, loud: bool) -> Any:
    """The record of the graph, rewritten in INT8."""
    from safelight_server.export.passes import Order
    from safelight_server.export.quantize import run

    random = np.random.default_rng(1)
    (folder / "samples" / "vae_decoder").mkdir(parents=True)
    for place in range(4):
        sample = random.normal(0, 1, (1, 4, 16, 16)).astype(np.float32)
        np.savez(folder / "samples" / "vae_decoder" / f"{place}.npz", latent_sample=sample)
    path = folder / "openvino_model.xml"
    ov.save_model(layers(loud), path)
    run(Order(str(path), "ptq", "vae_decoder", str(folder / "samples")), lambda done, total: None)
    return json.loads((folder / "int8.json").read_text(encoding="utf-8"))


def test_the_layer_that_loses_most_stays_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "loud").mkdir()
    (tmp_path / "even").mkdir()
    loud, even = quantized(tmp_path / "loud", loud=True), quantized(tmp_path / "even", loud=False)
    errors = {one["name"]: one["error"] for one in loud["kept"]}
    assert errors["c"] == max(errors.values()) > 0.1
    assert loud["error_without_choice"] > 4 * loud["error"]
    assert {one["name"] for one in even["kept"]} - {"a"} <= {"c"}, "the large ones are in INT8"
    assert even["error_without_choice"] < 0.1


def test_what_the_measuring_graph_says_is_what_the_graphs_say(tmp_path: Path) -> None:
    """All switches off: the graph before; all on: the graph after; one on: that one alone."""
    from safelight_server.export import sensitivity, switches

    quantized(tmp_path, loud=True)
    after, before = ov.Core().read_model(tmp_path / "openvino_model.xml"), layers(loud=True)
    names = [rounding.name for rounding in switches.find(after)]
    assert names
    sample = {"latent_sample": np.random.default_rng(2).normal(0, 1, (1, 4, 16, 16)).astype(np.float32)}
    exact, rounded = (sensitivity.run(graph, [sample], "vae_decoder") for graph in (before, after))
    for kept in (names, names[:1], []):
        taken, mixed = (ov.Core().read_model(tmp_path / "openvino_model.xml") for _ in range(2))
        switches.take_out(taken, before, kept)
        switches.add(mixed, before)
        state = np.array([name not in kept for name in names], np.float32)
        (want,) = sensitivity.run(taken, [sample], "vae_decoder")
        (got,) = sensitivity.run(mixed, [{**sample, switches.SWITCHES: state}], "vae_decoder")
        assert sensitivity.relative([got], [want]) < 1e-3
    assert sensitivity.relative(rounded, exact) > 1e-3, "or the test would hold with no rounding at all"
