"""How far one picture, or one array of latents, is from another: PSNR, SSIM and the relative error."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from safelight_server.arrays import Pixels

Plane = npt.NDArray[np.float64]

PEAK = 255.0
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03


def psnr(reference: Pixels, picture: Pixels) -> float:
    """The peak signal-to-noise ratio of two pictures (height, width, 3), in decibels; infinite for equal pictures."""
    error = np.mean((reference.astype(np.float64) - picture) ** 2)
    return 10 * math.log10(PEAK**2 / error) if error else math.inf


def ssim(reference: Pixels, picture: Pixels) -> float:
    """The mean structural similarity of two pictures (height, width, 3), on their luma; 1 for the same picture.

    Wang, Bovik, Sheikh, Simoncelli (2004), "Image Quality Assessment: From Error Visibility to Structural Similarity":
    a Gaussian window, only where it lies wholly inside, and no scaling down before. Raises ValueError for pictures
    smaller than the window.
    """
    if min(reference.shape[:2]) < WINDOW:
        raise ValueError(f"picture must be at least {WINDOW} pixels high and wide, not {reference.shape[:2]}")
    x, y = (pixels.astype(np.float64) @ np.array(LUMA) for pixels in (reference, picture))
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x * mean_x
    variance_y = _blur(y * y) - mean_y * mean_y
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    scale = (mean_x * mean_x + mean_y * mean_y + c1) * (variance_x + variance_y + c2)
    return float(np.mean(likeness / scale))


def relative_error(reference: npt.NDArray[Any], array: npt.NDArray[Any]) -> float:
    """The length of the difference over that of the reference (L2); infinite if only the reference is all zeros."""
    reference = reference.astype(np.float64)
    difference = float(np.linalg.norm((array - reference).ravel()))
    length = float(np.linalg.norm(reference.ravel()))
    return difference / length if length else math.inf if difference else 0.0


def _blur(plane: Plane) -> Plane:
    """The mean, weighted by the window, around every pixel that is far enough from the edges."""
    taps = np.exp(-((np.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    taps /= taps.sum()
    high, wide = (edge - WINDOW + 1 for edge in plane.shape)
    rows: Plane = sum((tap * plane[at : at + high] for at, tap in enumerate(taps)), np.zeros((high, plane.shape[1])))
    return sum((tap * rows[:, at : at + wide] for at, tap in enumerate(taps)), np.zeros((high, wide)))
