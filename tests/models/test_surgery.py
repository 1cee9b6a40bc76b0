"""Graphs that were changed say what they said, to 1/255 of a picture; to the bit where numbers are whole. In f32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as opset
from safelight_server import demo
from safelight_server.engine import receipts
from safelight_server.models.device import Device
from safelight_server.models.surgery import norms, operations, upsampling
from support.engines import load

Array = np.ndarray[Any, Any]

CORE = ov.Core()
F32 = Device(precision="f32")
DEMO = Path(demo.__file__).parent / "demo-xl"
DECODERS = {"vae_decoder": {"upsampling": 3, "norms": 20}, "vae_tiny_decoder": {"upsampling": 3}}
SIZES = ((16, 16), (9, 13), (40, 8), (8, 8))  # of latents: one decoder meets all, and the last after larger ones
WHOLE = np.random.default_rng(0).integers(-9, 9, (2, 5, 6, 7)).astype(np.float32)


def read(part: str) -> Any:
    return CORE.read_model(DEMO / part / "openvino_model.xml")


def operated(part: str) -> Any:
    graph = read(part)
    assert operations.operate(graph, part, F32) == DECODERS[part]
    return graph


def runs(graph: Any, **settings: str) -> Callable[[Array], Array]:
    network = CORE.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **settings})
    return lambda value: network([value])[0].copy()


def names(graph: Any) -> list[str]:
    return [op.get_type_name() for op in graph.get_ordered_ops()]


def latents(size: tuple[int, int], rows: int = 1) -> Array:
    return np.random.default_rng(1).standard_normal((rows, 4, *size), dtype=np.float32)


@pytest.mark.parametrize("part", DECODERS)
def test_the_picture_is_the_same_to_less_than_a_hundredth_of_a_level(part: str) -> None:
    """Of 255, for values in -1..1; and the same to the bit when a size comes again after others."""
    before, after = runs(read(part)), runs(operated(part))
    first = {size: after(latents(size)) for size in SIZES}
    for size, picture in first.items():
        assert np.abs(picture - before(latents(size))).max() < 0.01 * 2 / 255
        assert np.array_equal(after(latents(size)), picture)


@pytest.mark.parametrize("part", DECODERS)
def test_a_graph_from_the_cache_gives_the_same_bits(part: str, tmp_path: Path) -> None:
    settings = {"CACHE_DIR": str(tmp_path), "CACHE_MODE": "OPTIMIZE_SIZE"}
    settings["WEIGHTS_PATH"] = str(DEMO / part / "openvino_model.bin")
    first, again = runs(operated(part), **settings), runs(operated(part), **settings)
    (kept,) = tmp_path.glob("*.blob")
    assert kept.stat().st_size > 0
    for size in SIZES:
        assert np.array_equal(first(latents(size)), again(latents(size)))


def test_no_weights_are_held_beside_those_of_the_file() -> None:
    before, after = (
        sum(op.data.nbytes for op in graph.get_ops() if op.get_type_name() == "Constant")
        for graph in (read("vae_decoder"), operated("vae_decoder"))
    )
    assert after < 1.2 * before, "the tables of the norms are what is new: small beside weights of full size"


def doubling(
    doubled: Callable[[Any], Any] | None = None, edge: int = 3, pad: int = 1, dilation: int = 1, type: str = "f32"
) -> Any:
    """A doubled picture, convolved, with whole numbers as weights; or something that is nearly that."""
    picture = opset.parameter([-1, 5, -1, -1], ov.Type.f32)
    large = (doubled or doubled_by())(picture)
    kernel = (
        np.random.default_rng(2).integers(-9, 9, (4, 5, edge, edge)).astype(np.float16 if type == "f16" else np.float32)
    )
    weights = opset.convert(opset.constant(kernel), "f32") if type == "f16" else opset.constant(kernel)
    result = opset.convolution(large, weights, [1, 1], [pad] * 2, [pad] * 2, [dilation] * 2)
    return ov.Model([result], [picture])


def doubled_by(scales: tuple[float, float] = (2, 2), **changed: Any) -> Callable[[Any], Any]:
    wanted = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"} | changed
    mode = wanted.pop("mode", "nearest")
    return lambda picture: opset.interpolate(
        picture, np.array(scales, np.float32), mode, "scales", axes=np.array([2, 3]), **wanted
    )


def to_sizes(picture: Any) -> Any:
    return opset.interpolate(
        picture, np.array([11, 13]), "nearest", "sizes", axes=np.array([2, 3]), nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )  # fmt: skip


@pytest.mark.parametrize("type", ["f32", "f16"])
def test_a_doubled_picture_that_is_convolved_is_one_transposed_convolution(type: str) -> None:
    """Whole numbers are not rounded: to the bit, at every edge too."""
    graph = doubling(type=type)
    before = runs(graph.clone())(WHOLE)
    assert upsampling.operate(graph) == 1
    assert {"Interpolate", "Convolution"}.isdisjoint(names(graph))
    assert np.array_equal(runs(graph)(WHOLE), before)


NEARLY = {
    "thrice": doubling(doubled_by((3, 3))),
    "in one direction": doubling(doubled_by((2, 1))),
    "between the pixels": doubling(doubled_by(mode="linear")),
    "half a pixel aside": doubling(doubled_by(coordinate_transformation_mode="half_pixel")),
    "rounded up": doubling(doubled_by(nearest_mode="ceil")),
    "with a border": doubling(doubled_by(pads_begin=[0, 0, 1, 1])),
    "to a size that may be odd": doubling(to_sizes),
    "not doubled": doubling(lambda picture: opset.relu(picture)),
    "5x5": doubling(edge=5, pad=2),
    "no zeros around": doubling(pad=0),
    "holes in the kernel": doubling(pad=2, dilation=2),
}


@pytest.mark.parametrize("graph", NEARLY.values(), ids=NEARLY)
def test_what_is_nearly_that_stays_as_it_is(graph: Any) -> None:
    before = names(graph)
    assert upsampling.operate(graph) == 0
    assert names(graph) == before


def test_a_doubled_picture_that_somebody_else_reads_is_still_made() -> None:
    graph = doubling()
    (large,) = (op for op in graph.get_ops() if op.get_type_name() == "Interpolate")
    graph.add_outputs([large.output(0)])
    assert upsampling.operate(graph) == 0


def normed(convolved: bool = True, offset: float = 0) -> Any:
    """A GroupNorm of 3 groups of 2 channels, behind a convolution by one or not."""
    picture = opset.parameter([-1, 6, -1, -1], ov.Type.f32)
    kernel = np.eye(6, dtype=np.float32)[:, :, None, None]
    inner = opset.convolution(picture, kernel, [1, 1], [0, 0], [0, 0], [1, 1]) if convolved else opset.relu(picture)
    inner = opset.add(inner, np.full((1, 6, 1, 1), offset, np.float32))
    scale, shift = np.arange(1, 7, dtype=np.float32), np.arange(-3, 3, dtype=np.float32)
    return ov.Model([opset.group_normalization(inner, scale, shift, 3, 1e-5)], [picture])


@pytest.mark.parametrize("offset", [0, 300])
def test_a_norm_is_what_it_was_where_the_mean_is_large_too(offset: float) -> None:
    """Of the mean of squares less the square of the mean, nothing would be left at 300 times the deviation."""
    picture = np.random.default_rng(3).standard_normal((2, 6, 31, 17)).astype(np.float32)
    graph = normed(offset=offset)
    assert norms.operate(graph) == 1
    assert "GroupNormalization" not in names(graph)
    inner = (picture + np.float32(offset)).astype(np.float64).reshape(2, 3, -1)
    whitened = (inner - inner.mean(2, keepdims=True)) / np.sqrt(inner.var(2, keepdims=True) + 1e-5)
    scale, shift = np.arange(1, 7)[:, None, None], np.arange(-3, 3)[:, None, None]
    expected = whitened.reshape(picture.shape) * scale + shift
    assert np.abs(runs(graph)(picture) - expected).max() < (2e-5 if offset == 0 else 2e-3)


def test_a_norm_behind_something_else_stays_as_it_is() -> None:
    """Its layout is not sure: it hung on whether the graph came from the cache."""
    graph = normed(convolved=False)
    before = names(graph)
    assert norms.operate(graph) == 0
    assert names(graph) == before


def quantized(graph: Any) -> Any:
    reader = next(op for op in graph.get_ordered_ops() if op.get_type_name() == "Convolution").input(0)
    bounds = [opset.constant(np.float32(bound)) for bound in (-8, 8, -8, 8)]
    reader.replace_source_output(opset.fake_quantize(reader.get_source_output(), *bounds, 256).output(0))
    return graph


@pytest.mark.parametrize(
    ("part", "device"),
    [
        ("unet", F32),
        ("vae_encoder", F32),
        ("vae_decoder", Device(precision="bf16")),
        ("vae_decoder", Device("GPU", precision="f32")),
    ],
)
def test_other_parts_and_other_arithmetic_are_left_alone(part: str, device: Device) -> None:
    graph = read(part)
    before = names(graph)
    assert operations.operate(graph, part, device) == {}
    assert names(graph) == before


def test_quantized_graphs_are_left_alone() -> None:
    graph = quantized(read("vae_decoder"))
    before = names(graph)
    assert operations.operate(graph, "vae_decoder", F32) == {}
    assert names(graph) == before


def test_what_pictures_hang_on_tells_it() -> None:
    """So a drawing does not go on from a checkpoint of the graphs as they were, and Verify says what is otherwise."""
    bf16 = Device(precision="bf16")
    assert (operations.told(F32), operations.told(bf16)) == ("upsampling 1, norms 1", "")
    info = load("demo-xl").info
    assert receipts.surroundings([info])["models"][0]["surgery"] == "upsampling 1, norms 1"
    before = replace(info, surgery="")
    assert "surgery" not in receipts.surroundings([before])["models"][0]
    assert receipts.hangs_on([before]) != receipts.hangs_on([info])
