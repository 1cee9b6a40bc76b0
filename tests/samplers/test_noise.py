"""safelight_server.samplers.noise against torch.randn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safelight_server.samplers.noise import randn

SHAPES = [(16,), (17,), (31,), (1, 4, 8, 8), (1, 4, 5, 7), (3, 33), (1, 4, 64, 48), (1, 4, 128, 128)]


@pytest.mark.parametrize("seed", [0, 1, 42, 2**31, 2**32 - 1, 2**32 + 5, 2**63 + 7])
def test_numbers_of_one_generator_in_a_row(seed: int) -> None:
    generator, position = torch.Generator("cpu").manual_seed(seed), 0
    for shape in (*SHAPES, *SHAPES[::-1]):
        noise, position = randn(seed, position, shape)
        assert noise.dtype == np.float32
        assert noise.flags.c_contiguous
        np.testing.assert_allclose(noise, torch.randn(shape, generator=generator).numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("shape", "used"), [((16,), 16), ((17,), 33), ((1, 4, 5, 7), 156), ((1, 4, 8, 8), 256)])
def test_position_counts_what_was_used(shape: tuple[int, ...], used: int) -> None:
    assert randn(3, 100, shape)[1] == 100 + used


def test_the_same_place_gives_the_same_bits() -> None:
    a, b = randn(9, 12345, (1, 4, 16, 16))[0], randn(9 + 2**32, 12345, (1, 4, 16, 16))[0]
    np.testing.assert_array_equal(a, b)


def test_the_largest_numbers_are_finite_and_torch_s() -> None:
    """Millions of numbers meet the uniform's ends, where the logarithm is steep."""
    noise, _ = randn(7, 0, (1 << 22,))
    want = torch.randn(1 << 22, generator=torch.Generator("cpu").manual_seed(7)).numpy()
    np.testing.assert_allclose(noise, want, rtol=0, atol=1e-6)


def test_a_far_position_is_that_of_the_generator() -> None:
    generator = torch.Generator("cpu").manual_seed(3)
    torch.randn(10_000_000, generator=generator)
    noise, _ = randn(3, 10_000_000, (32,))
    np.testing.assert_allclose(noise, torch.randn(32, generator=generator).numpy(), rtol=0, atol=1e-6)


def test_bad_arguments_are_named() -> None:
    for shape in ((), (15,), (1, 4, 0, 8)):
        with pytest.raises(ValueError, match=r"shape must have at least 16"):
            randn(0, 0, shape)
    with pytest.raises(ValueError, match="position must be 0 or more, not -1"):
        randn(0, -1, (16,))
