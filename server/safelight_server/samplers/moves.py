"""A step of a run as numbers: the weights of all sums, of the next sample and of what later steps look back on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from safelight_server.pixels import kernels
from safelight_server.pixels.coefficients import Update

Floats = npt.NDArray[np.float32]
Row = tuple[float, ...]

X0: tuple[Row, ...] = ((0.0, 1.0),)  # the history of most samplers: the estimate of the clean latents, x0, alone


class Move(NamedTuple):
    """One step. A history is an array (rows, channels, h, w): one row of X0, or what the sampler's own moves keep."""

    update: Update  # without what it takes of the history
    looks: Row = ()  # the weights of the history's rows in the next sample
    keeps: tuple[Row, ...] = X0  # the rows of the history after it: each the weights of (the sample, x0, *history)


def advance(
    move: Move,
    sample: Floats,
    output: Floats,
    history: Floats | None,
    noise: Floats | None,
    *,
    guidance: float,
    rescale: float,
) -> tuple[Floats, Floats, Floats]:
    """The next sample, x0 and the history after the step; see `kernels.advance`."""
    rows = () if history is None else tuple(history[i : i + 1] for i in range(len(history)))
    weight, previous = _sum(move.looks, rows)
    following, denoised = kernels.advance(
        sample,
        output,
        guidance=guidance,
        rescale=rescale,
        update=move.update._replace(previous=weight),
        previous=previous,
        noise=noise,
    )
    if move.keeps == X0:
        return following, denoised, denoised
    sums = (_sum(row, (sample, denoised, *rows)) for row in move.keeps)
    kept = [np.float32(weight) * array for weight, array in sums if array is not None]
    return following, denoised, np.concatenate(kept)


def _sum(weights: Row, arrays: tuple[Floats, ...]) -> tuple[float, Floats | None]:
    """A weight and an array, whose product is the weighted sum; what has the weight 0 is not read."""
    used = [(weight, arrays[i]) for i, weight in enumerate(weights) if weight]
    if not used:
        return 0.0, None
    if len(used) == 1:
        return used[0]  # not multiplied: that is left to `kernels.advance`, and its rounding
    total = np.zeros_like(used[0][1])
    for weight, array in used:
        total += np.float32(weight) * array
    return 1.0, total
