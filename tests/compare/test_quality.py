"""PSNR, SSIM and the relative error against closed forms and a plain double loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from safelight_server.compare.quality import psnr, relative_error, ssim


def noise(seed: int, height: int = 24, width: int = 19) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def grey(value: int) -> Any:
    return np.full((16, 20, 3), value, np.uint8)


def test_the_same_picture_is_identical() -> None:
    picture = noise(1)
    assert psnr(picture, picture) == math.inf
    assert ssim(picture, picture) == 1.0
    assert relative_error(picture, picture) == 0.0


@pytest.mark.parametrize("shift", [1, 5, 100])
def test_psnr_of_a_constant_shift(shift: int) -> None:
    picture = noise(2) // 2
    assert psnr(picture, picture + np.uint8(shift)) == pytest.approx(20 * math.log10(255 / shift))


def test_psnr_counts_all_channels() -> None:
    changed = grey(100)
    changed[..., 1] += 30  # a third of all values, by 30
    assert psnr(grey(100), changed) == pytest.approx(10 * math.log10(255**2 / (30**2 / 3)))
    assert psnr(changed, grey(100)) == psnr(grey(100), changed)
    assert psnr(grey(0), grey(255)) == 0.0


def test_ssim_of_flat_pictures_compares_their_means_alone() -> None:
    c1 = (0.01 * 255) ** 2
    for a, b in ((100, 120), (0, 255), (30, 31)):
        assert ssim(grey(a), grey(b)) == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1))


def test_ssim_of_a_negative_is_negative() -> None:
    """Around middle grey the means agree, and the structure is turned over: -2 s^2 + c2 over 2 s^2 + c2."""
    board = np.where(np.indices((40, 40)).sum(0) % 2, 192, 63).astype(np.uint8)[..., None].repeat(3, 2)
    c2 = (0.03 * 255) ** 2
    variance = 64.5**2
    assert ssim(board, 255 - board) == pytest.approx((c2 - 2 * variance) / (c2 + 2 * variance), abs=1e-4)


def naive_ssim(a: Any, b: Any) -> float:
    """By the definition, one window at a time, with the moments about the window's own mean."""
    luma = [0.299 * p[..., 0] + 0.587 * p[..., 1] + 0.114 * p[..., 2] for p in (a.astype(float), b.astype(float))]
    weights = np.array([[math.exp(-(i * i + j * j) / (2 * 1.5**2)) for j in range(-5, 6)] for i in range(-5, 6)])
    weights /= weights.sum()
    c1, c2, values = (0.01 * 255) ** 2, (0.03 * 255) ** 2, []
    for top in range(a.shape[0] - 10):
        for left in range(a.shape[1] - 10):
            x, y = (plane[top : top + 11, left : left + 11] for plane in luma)
            mx, my = (weights * x).sum(), (weights * y).sum()
            vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
            cov = (weights * (x - mx) * (y - my)).sum()
            values.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return float(np.mean(values))


@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
def test_ssim_against_the_definition(share: float) -> None:
    a = noise(3)
    b = ((1 - share) * a + share * noise(4)).astype(np.uint8)
    assert ssim(a, b) == pytest.approx(naive_ssim(a, b), abs=1e-10)
    assert ssim(a, b) == pytest.approx(ssim(b, a), abs=1e-12)


def test_ssim_falls_with_noise() -> None:
    ramp = np.linspace(40, 200, 32).astype(np.uint8)[None, :, None].repeat(32, 0).repeat(3, 2)
    spread = np.random.default_rng(5).standard_normal(ramp.shape)
    noisy = [np.clip(ramp + amount * spread, 0, 255).astype(np.uint8) for amount in (2, 8, 32)]
    values = [ssim(ramp, picture) for picture in noisy]
    assert values == sorted(values, reverse=True)


def test_ssim_needs_a_window() -> None:
    with pytest.raises(ValueError, match="at least 11 pixels high and wide, not \\(10, 19\\)"):
        ssim(noise(1, 10), noise(2, 10))


def test_relative_error() -> None:
    reference = np.array([[3.0, 0.0], [0.0, 4.0]], np.float32)
    assert relative_error(reference, reference * 1.25) == pytest.approx(0.25)
    assert relative_error(reference, -reference) == pytest.approx(2.0)
    assert relative_error(np.zeros(3), np.zeros(3)) == 0.0
    assert relative_error(np.zeros(3), np.ones(3)) == math.inf
