"""Arrays and steps for the tests of pixels, and the fixture that runs each on both implementations."""

import importlib
import os
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safelight_server.pixels import kernels
from safelight_server.pixels.coefficients import Update

Floats = npt.NDArray[np.float32]
SIZES = [(1, 1), (3, 5), (7, 17), (64, 64), (33, 129)]
PURE = os.environ.get("SAFELIGHT_PURE") == "1"
NAN, INF = np.float32("nan"), np.float32("inf")
PLAIN = Update(x0_sample=1.25, x0_output=-0.75, sample=0.5, denoised=0.5)
FULL = Update(1.25, -0.75, 0.5, 0.3, output=0.1, previous=-0.2, noise=0.6, clip=1.5)


@pytest.fixture(params=["numpy", pytest.param("c", marks=pytest.mark.skipif(PURE, reason="SAFELIGHT_PURE=1"))])
def low(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """One implementation, with `pixels` bound to it; where C was not built, its cases fail."""
    name = {"numpy": "_numpy", "c": "_native"}[request.param]
    module = importlib.import_module(f"safelight_server.pixels.{name}")
    monkeypatch.setattr(kernels, "low_level", module)
    return module


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def bytes_of(*shape: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def step(update: Update = PLAIN, *, rows: int = 2, size: tuple[int, int] = (7, 17), rescale: float = 0.7) -> Any:
    sample, output, previous, noise = (normal(n, 4, *size, seed=n + s) for s, n in enumerate((1, rows, 1, 1)))
    return kernels.advance(sample, output, guidance=7.5, rescale=rescale, update=update, previous=previous, noise=noise)


def f32(*shape: int) -> Floats:
    return np.zeros(shape, np.float32)


def u8(*shape: int) -> npt.NDArray[np.uint8]:
    return np.zeros(shape, np.uint8)


def readonly(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.flags.writeable = False
    return array


def unaligned(*shape: int) -> Floats:
    return np.frombuffer(bytearray(4 * int(np.prod(shape)) + 1), np.uint8)[1:].view(np.float32).reshape(shape)


def advancing(**changed: Any) -> tuple[Any, ...]:
    arguments: dict[str, Any] = {"sample": f32(1, 4, 3, 5), "output": f32(2, 4, 3, 5), "guidance": 5.0, "rescale": 0.5}
    arguments |= {"update": PLAIN, "previous": None, "noise": None}
    arguments |= {"out_sample": f32(1, 4, 3, 5), "out_denoised": f32(1, 4, 3, 5)}
    return tuple((arguments | changed).values())


def blending(**changed: Any) -> tuple[Any, ...]:
    arguments: dict[str, Any] = {"sample": f32(1, 4, 3, 5), "weights": f32(1, 1, 3, 5), "original": f32(1, 4, 3, 5)}
    arguments |= {"noise": f32(1, 4, 3, 5), "original_scale": 1.0, "noise_scale": 1.0, "out": f32(1, 4, 3, 5)}
    return tuple((arguments | changed).values())
