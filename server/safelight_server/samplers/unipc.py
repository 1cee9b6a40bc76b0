"""UniPC, Zhao et al. 2023: what a step predicts is corrected by the next one, once the network has seen it.

All that the correction needs but the network's next word is in the history's first row, so that a step stays one sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from safelight_server.pixels.coefficients import Update

from .moves import X0, Move, Row
from .multistep import log_snr
from .noise_levels import NoiseLevels
from .prediction import straight, x0
from .scheduler_classes import Settings

# The rows of the history: the start of the correction, x0 of the step before, of two steps before, and so on. One x0
# more is kept than is used: the number of rows says which order the step before had.


def unipc(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """One step: the sample corrected, then the next one predicted of it."""
    corrected = [1.0, *[0.0] * (1 + held)]  # all sums here are weights of (the sample, x0, *history)
    if held and i and i - 1 not in s["disable_corrector"]:
        (*_, new), _ = _corrector(s, levels, i - 1, _order(s, levels, i - 1, held - 1))
        corrected[:3] = 0.0, new, 1.0
    order = _order(s, levels, i, held)
    sample, denoised, *looks = _sum(levels, i, corrected, _predictor(s, levels, i, order))
    update = Update(*x0(s, levels.before[i]), sample, denoised)
    if i == len(levels.before) - 1:
        return Move(update, tuple(looks))
    start = _sum(levels, i, corrected, _corrector(s, levels, i, order)[1])
    older = (tuple(float(j == k) for j in range(k + 1)) for k in range(3, 2 + min(held, s["solver_order"])))
    return Move(update, tuple(looks), (tuple(start), X0[0], *older))


def _order(s: Settings, levels: NoiseLevels, i: int, held: int) -> int:
    """How many estimates a step uses, with so many rows in the history."""
    left = len(levels.before) - i
    return min(int(s["solver_order"]), max(1, held), i + 1, left if s["lower_order_final"] else i + 1)


def _sum(levels: NoiseLevels, i: int, corrected: Sequence[float], estimates: Row) -> list[float]:
    """The first order's step from the corrected sample, and weights of x0 at this step, at the one before and so on."""
    sample, denoised = straight(levels.before[i], levels.after[i])
    total = [sample * weight for weight in corrected]
    total[1] += denoised
    for place, weight in zip((1, *range(3, len(total))), estimates, strict=False):
        total[place] += weight
    return total


def _predictor(s: Settings, levels: NoiseLevels, i: int, order: int) -> Row:
    """The weights of x0 at this step and at those before, beside the first order's."""
    if order == 1 or levels.after[i].noise in (0.0, levels.before[i].noise):
        return ()
    ratios, wanted, scale = _equations(s, levels, i, order)
    parts = [0.5] if order == 2 else _solve(ratios, wanted)
    weights = [scale * part / ratio for part, ratio in zip(parts, ratios, strict=True)]
    return (-sum(weights), *weights)


def _corrector(s: Settings, levels: NoiseLevels, i: int, order: int) -> tuple[Row, Row]:
    """The weights of x0 at step i, at those before, and at step i + 1; and of all but the last."""
    ratios, wanted, scale = _equations(s, levels, i, order)
    ratios = [*ratios, 1.0]
    parts = [0.5] if order == 1 else _solve(ratios, wanted)
    weights = [scale * part / ratio for part, ratio in zip(parts, ratios, strict=True)]
    known = (-sum(weights), *weights[:-1])
    return (*known, weights[-1]), known


def _solve(ratios: list[float], wanted: list[float]) -> list[float]:
    """The parts whose sums over powers 0, 1, ... of the ratios are what is wanted."""
    powers = [[ratio**k for ratio in ratios] for k in range(len(ratios))]
    parts: list[float] = np.linalg.solve(powers, wanted[: len(ratios)]).tolist()
    return parts


def _equations(s: Settings, levels: NoiseLevels, i: int, order: int) -> tuple[list[float], list[float], float]:
    """Equation 5 of the paper: the places of the steps before, in steps; what sums over them must be; and B(h)."""
    here, then = log_snr(levels.before[i]), levels.after[i]
    h = log_snr(then) - here
    first = math.expm1(-h)
    b = -h if s["solver_type"] == "bh1" else first
    wanted, phi = [], first / -h - 1
    for k in range(1, order + 1):
        wanted.append(phi * math.factorial(k) / b)
        phi = phi / -h - 1 / math.factorial(k + 1)
    return [(log_snr(levels.before[i - k]) - here) / h for k in range(1, order)], wanted, -then.signal * b
