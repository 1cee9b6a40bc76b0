"""The C extension and its NumPy twin: the same bits, threads at once, no input changed, nothing leaked."""

import contextlib
import importlib
import sys
import threading
import tracemalloc
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safelight_server.pixels import _numpy as twin
from safelight_server.pixels import kernels
from support.pixel_cases import FULL, PURE, SIZES, advancing, bytes_of, f32, normal, readonly, step, u8

CALLS: dict[str, Callable[[int, int], Any]] = {
    "planes": lambda h, w: kernels.planes_from_picture(bytes_of(h, w, 3)),
    "planes of 4": lambda h, w: kernels.planes_from_picture(bytes_of(h, w, 4)),
    "picture": lambda h, w: kernels.picture_from_planes(normal(1, 3, h, w)),
    "preview": lambda h, w: kernels.preview_from_latents(normal(1, 5, h, w), normal(5, 3), normal(3)),
    "weights": lambda h, w: kernels.weights_from_mask(bytes_of(2 * h, 2 * w), 2),
    "advance": lambda h, w: step(FULL, size=(h, w), rescale=0),
    "advance, one row": lambda h, w: step(FULL, size=(h, w), rows=1),
    "advance, rescaled": lambda h, w: step(FULL, size=(h, w)),
    "blend": lambda h, w: kernels.blend(
        *(normal(1, c, h, w, seed=c) for c in (4, 1)), *normal(2, 1, 4, h, w), original_scale=0.8, noise_scale=0.6
    ),
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_same_bits_as_numpy(
    low: ModuleType, call: Callable[[int, int], Any], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    got = call(*size)
    monkeypatch.setattr(kernels, "low_level", twin)
    np.testing.assert_array_equal(np.array(got).view(np.uint8), np.array(call(*size)).view(np.uint8))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_threads_at_once_agree(low: ModuleType, call: Callable[[int, int], Any]) -> None:
    want, got = call(33, 129), [None] * 4

    def work(i: int) -> None:
        for _ in range(5):
            got[i] = call(33, 129)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(got))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in got:
        np.testing.assert_array_equal(each, want)


def test_another_thread_runs_meanwhile(low: ModuleType) -> None:
    planes, picture = np.zeros((1, 3, 512, 512), np.float32), np.empty((512, 512, 3), np.uint8)
    lock, ran = threading.Lock(), list[bool]()

    def work() -> None:
        with lock:
            ran.append(True)

    thread, interval = threading.Thread(target=work), sys.getswitchinterval()
    with lock:
        thread.start()
        sys.setswitchinterval(60)  # from here on, only who gives the GIL away loses it
    for _ in range(100):
        if not ran:
            low.picture_from_planes(planes, picture)
    alone = not ran
    sys.setswitchinterval(interval)
    thread.join()
    assert not alone


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_input_is_changed(low: ModuleType, call: Callable[[int, int], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "normal", lambda *a, made=normal, **k: readonly(made(*a, **k)))
    monkeypatch.setitem(globals(), "bytes_of", lambda *a, made=bytes_of: readonly(made(*a)))
    call(7, 17)


def test_nothing_leaks(low: ModuleType) -> None:
    good = advancing(update=FULL, previous=f32(1, 4, 3, 5), noise=f32(1, 4, 3, 5))  # a buffer kept is a reference kept
    bad = advancing(sample=good[0], out_denoised=u8(1))

    def work(times: int) -> tuple[list[int], int]:
        for _ in range(times):
            low.advance(*good)
            with contextlib.suppress(TypeError):
                low.advance(*bad)
        return [sys.getrefcount(each) for each in good], tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    references, before = work(100)
    assert work(1000 if low is twin else 50_000)[0] == references
    assert tracemalloc.get_traced_memory()[0] - before < 10_000
    tracemalloc.stop()


def test_the_choice_is_named() -> None:
    low = importlib.import_module("safelight_server.pixels._numpy" if PURE else "safelight_server.pixels._native")
    assert (kernels.IMPLEMENTATION, kernels.low_level) == (("numpy" if PURE else "c"), low)  # type: ignore[attr-defined]
    assert low.INSTRUCTIONS in ({"numpy"} if PURE else {"x86-64-v4", "x86-64-v3", "x86-64-v2", "default"})
