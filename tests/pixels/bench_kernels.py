"""The C extension beside its NumPy twin: `pytest tests/pixels/bench_kernels.py --benchmark-enable`.

One group is one piece of work; extra_info["correct"] says that the answer timed was the right one. One thread.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import openvino as ov
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from safelight_server.pixels import _native, _numpy
from safelight_server.pixels.coefficients import Update

IMPLEMENTATIONS = pytest.mark.parametrize("low", [_native, _numpy], ids=["c", "numpy"])
RANDOM = np.random.default_rng(0)
PICTURE = RANDOM.integers(0, 256, (1024, 1024, 3), np.uint8)
PLANES = np.ascontiguousarray(PICTURE.transpose(2, 0, 1)[None], np.float32) / 255 * 2 - 1
LATENTS = [RANDOM.standard_normal((rows, 4, 128, 128)).astype(np.float32) for rows in (1, 2, 1, 1)]


def run(benchmark: BenchmarkFixture, group: str, work: Callable[[], object], correct: Callable[[], bool]) -> None:
    benchmark.group = group
    benchmark(work)
    benchmark.extra_info["correct"] = bool(correct())
    assert benchmark.extra_info["correct"]


@IMPLEMENTATIONS
def test_planes(benchmark: BenchmarkFixture, low: ModuleType) -> None:
    out = np.empty_like(PLANES)
    work = lambda: low.planes_from_picture(PICTURE, out)  # noqa: E731
    run(benchmark, "planes from a picture, 1024x1024", work, lambda: np.array_equal(out, PLANES))


def test_planes_by_openvino(benchmark: BenchmarkFixture) -> None:
    pre = ov.preprocess.PrePostProcessor(_identity())
    pre.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    pre.input().preprocess().convert_element_type(ov.Type.f32).mean(127.5).scale(127.5)
    pre.input().model().set_layout(ov.Layout("NCHW"))
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = ov.Core().compile_model(pre.build(), "CPU", settings)
    request = compiled.create_infer_request()
    request.set_input_tensor(ov.Tensor(PICTURE[None], shared_memory=True))

    def work() -> None:
        request.start_async()
        request.wait()

    close = lambda: np.allclose(request.get_output_tensor().data, PLANES, atol=1e-6)  # noqa: E731
    run(benchmark, "planes from a picture, 1024x1024", work, close)


def _identity() -> Any:
    planes = ov.opset13.parameter([1, 3, 1024, 1024], ov.Type.f32)
    return ov.Model([ov.opset13.result(planes)], [planes], "identity")


@IMPLEMENTATIONS
def test_picture(benchmark: BenchmarkFixture, low: ModuleType) -> None:
    out = np.empty_like(PICTURE)
    work = lambda: low.picture_from_planes(PLANES, out)  # noqa: E731
    run(benchmark, "picture from planes, 1024x1024", work, lambda: np.array_equal(out, PICTURE))


@IMPLEMENTATIONS
def test_preview(benchmark: BenchmarkFixture, low: ModuleType) -> None:
    matrix, bias = np.full((4, 3), 0.25, np.float32), np.zeros(3, np.float32)
    out = np.empty((128, 128, 3), np.uint8)
    want = np.rint((LATENTS[0][0].mean(axis=0) * 0.5 + 0.5).clip(0, 1) * 255)
    work = lambda: low.preview_from_latents(LATENTS[0], matrix, bias, out)  # noqa: E731
    close = lambda: np.abs(out[..., 0] - want).max() <= 1  # noqa: E731
    run(benchmark, "preview from latents, 128x128x4", work, close)


@IMPLEMENTATIONS
@pytest.mark.parametrize("rescale", [0.0, 0.7], ids=["plain", "rescaled"])
def test_advance(benchmark: BenchmarkFixture, low: ModuleType, rescale: float) -> None:
    sample, output, previous, noise = LATENTS
    update = Update(0.9, -0.4, 0.5, 0.3, 0.1, 0.2, 0.6, 3.0)
    following, denoised = np.empty_like(sample), np.empty_like(sample)
    m = output[:1] + 7 * (output[1:] - output[:1])
    m *= rescale * (output[1:].std(ddof=1) / m.std(ddof=1)) + 1 - rescale
    x0 = (0.9 * sample - 0.4 * m).clip(-3, 3)
    want = 0.5 * sample + 0.1 * m + 0.3 * x0 + 0.2 * previous + 0.6 * noise
    work = lambda: low.advance(sample, output, 7.0, rescale, update, previous, noise, following, denoised)  # noqa: E731
    close = lambda: np.allclose(following, want, atol=1e-5) and np.allclose(denoised, x0, atol=1e-5)  # noqa: E731
    run(benchmark, f"advance, 128x128x4, {'rescaled' if rescale else 'plain'}", work, close)
