"""scripts/fuzz: C and NumPy agree, and what C did wrong would be found; with the sanitizer: `pytest -m slow`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fuzz_pixels
import numpy as np
import pytest
from fuzz_pixels import PLACES, Disagreement, fuzz
from fuzzing.calls import Array
from fuzzing.draws import FUNCTIONS, draw_call
from safelight_server.pixels import _native
from support.pixel_cases import PURE

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(PURE, reason="SAFELIGHT_PURE=1")


def native_but(after: Callable[[tuple[Any, ...]], object]) -> SimpleNamespace:
    """The C extension, with `after` called on the arguments of each call that was accepted."""

    def wrap(function: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            function(*arguments)
            after(arguments)

        return call

    return SimpleNamespace(**{name: wrap(getattr(_native, name)) for name in FUNCTIONS})


def flip_a_bit(array: Any) -> None:
    bits = np.asarray(array).reshape(-1).view(np.uint8)
    bits[bits.size // 2 // 4 * 4] ^= 1


def write_before(array: Any) -> None:
    base = array.base if isinstance(array, np.ndarray) else None
    if isinstance(base, np.ndarray) and base.nbytes > array.nbytes:
        base[base.nbytes - array.nbytes - 1] = 0


def test_c_and_numpy_agree_on_good_calls_and_bad_ones() -> None:
    tally = fuzz(executions=6000)
    assert tally.counts.total() == 6000 == PLACES * tally.drawn
    assert all(tally.counts[function, accepted] > 100 for function in FUNCTIONS for accepted in (True, False))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_one_wrong_bit_is_found_and_found_again_from_its_seed(function: str) -> None:
    seeds: list[int] = []
    wrong = native_but(lambda arguments: flip_a_bit(arguments[-1]))
    with pytest.raises(Disagreement, match="array"):
        fuzz(wrong, executions=1000, seed=100, only=[function], mark=lambda function, seed: seeds.append(seed))
    with pytest.raises(Disagreement, match="array"):
        fuzz(wrong, executions=PLACES, seed=seeds[-1], only=[function])
    assert fuzz(executions=PLACES, seed=seeds[-1], only=[function]).counts[function, True] == PLACES


def test_an_input_that_is_changed_is_found() -> None:
    with pytest.raises(Disagreement, match="array 0"):
        fuzz(native_but(lambda arguments: flip_a_bit(arguments[0])), executions=1000, only=["weights_from_mask"])


def test_a_write_before_an_array_is_found() -> None:
    with pytest.raises(Disagreement, match="written to before array"):
        fuzz(native_but(lambda arguments: write_before(arguments[-1])), executions=1000)


def test_a_reference_that_is_kept_is_found() -> None:
    kept: list[Any] = []
    with pytest.raises(Disagreement, match="still held"):
        fuzz(native_but(lambda arguments: kept.append(arguments[0])), executions=1000)


@pytest.mark.parametrize("wrong", [TypeError("out"), ValueError("picture must"), SystemError()])
def test_a_refusal_for_another_reason_is_found(wrong: Exception) -> None:
    def refuse(*_: Any) -> None:
        raise wrong

    with pytest.raises(Disagreement, match=type(wrong).__name__):
        fuzz(SimpleNamespace(planes_from_picture=refuse), executions=1000, only=["planes_from_picture"])


def test_a_call_is_drawn_the_same_again() -> None:
    for function in FUNCTIONS:
        for seed in range(50):
            first, second = draw_call(function, seed), draw_call(function, seed)
            assert repr(first) == repr(second)
            arrays = [[a for a in call.arguments if isinstance(a, Array)] for call in (first, second)]
            assert all(a.values.tobytes() == b.values.tobytes() for a, b in zip(*arrays, strict=True))


def test_what_ends_the_process_is_told_with_its_seed() -> None:
    """As a sanitizer ends it, in the middle of a call."""
    code = (
        "import os, sys, types, fuzz_pixels\n"
        "dies = types.SimpleNamespace(blend=lambda *a: os._exit(9))\n"
        "sys.exit(fuzz_pixels.supervise(dies, 1000, 5, ['blend']))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(fuzz_pixels.__file__).parent)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert (
        f"failed (9): scripts/fuzz --seed 5 --only blend --executions {PLACES}\nCall(function='blend'" in ended.stdout
    )


@pytest.mark.slow
def test_a_read_past_the_end_is_found_under_the_sanitizer(tmp_path: Path) -> None:
    """In a copy of the sources, one loop reads a pixel too many; what it writes stays right."""
    for name in ("scripts", "client", "server/safelight_server"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.so", "__pycache__", "demo"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    loops = tmp_path / "server/safelight_server/pixels/_loops.h"
    right, wrong = (
        "for (ptrdiff_t i = 0; i < n; i++) {\n        rgb[0]",
        "for (ptrdiff_t i = 0; i <= n && i < BLOCK; i++) {\n        rgb[0]",
    )
    assert right in loops.read_text()
    loops.write_text(loops.read_text().replace(right, wrong))
    environment = os.environ | {"PYTHON": sys.executable}
    command = [str(tmp_path / "scripts/fuzz"), "--executions", "1000"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "AddressSanitizer: heap-buffer-overflow" in ended.stderr
    assert "--only planes_from_picture" in ended.stdout
