"""UniPC, Zhao et al. 2023: what a step predicts is corrected by the next one, once the network has seen it.

All that the correction needs but the network's next word is in the history's first row, so that a step stays one sum.
"""

from __future__ import annotations

import math

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
    length = 2 + held  # all sums here are weights of (the sample, x0, *history)
    corrected = np.eye(length)[0]
    if held and i and i - 1 not in s["disable_corrector"]:
        (*_, new), _ = _corrector(s, levels, i - 1, _order(s, levels, i - 1, held - 1))
        corrected = np.eye(length)[2] + new * np.eye(length)[1]
    order = _order(s, levels, i, held)
    following = _sum(levels, i, corrected, _predictor(s, levels, i, order))
    update = Update(*x0(s, levels.before[i]), float(following[0]), float(following[1]))
    if i == len(levels.before) - 1:
        return Move(update, tuple(following[2:].tolist()))
    _, known = _corrector(s, levels, i, order)
    start = _sum(levels, i, corrected, known)
    older = [tuple(np.eye(length)[3 + j].tolist()) for j in range(min(held, s["solver_order"]) - 1)]
    return Move(update, tuple(following[2:].tolist()), (tuple(start.tolist()), X0[0], *older))


def _order(s: Settings, levels: NoiseLevels, i: int, held: int) -> int:
    """How many estimates a step uses, with so many rows in the history."""
    left = len(levels.before) - i
    return min(int(s["solver_order"]), max(1, held), i + 1, left if s["lower_order_final"] else i + 1)


def _sum(levels: NoiseLevels, i: int, corrected: np.ndarray, estimates: Row) -> np.ndarray:
    """The first order's step from the corrected sample, and weights of x0 at this step, at the one before and so on."""
    sample, denoised = straight(levels.before[i], levels.after[i])
    total = sample * corrected
    total[1] += denoised
    for place, weight in zip((1, *range(3, 3 + len(estimates))), estimates, strict=False):
        total[place] += weight
    return total


def _predictor(s: Settings, levels: NoiseLevels, i: int, order: int) -> Row:
    """The weights of x0 at this step and at those before, beside the first order's."""
    if order == 1 or levels.after[i].noise in (0.0, levels.before[i].noise):
        return ()
    ratios, wanted, scale = _equations(s, levels, i, order)
    parts = np.array([0.5]) if order == 2 else np.linalg.solve(_powers(ratios, order - 1), wanted[:-1])
    weights = scale * parts / ratios
    return (-float(weights.sum()), *weights.tolist())


def _corrector(s: Settings, levels: NoiseLevels, i: int, order: int) -> tuple[Row, Row]:
    """The weights of x0 at step i, at those before, and at step i + 1; and of all but the last."""
    ratios, wanted, scale = _equations(s, levels, i, order)
    parts = np.array([0.5]) if order == 1 else np.linalg.solve(_powers(np.append(ratios, 1.0), order), wanted)
    weights = scale * parts / np.append(ratios, 1.0)
    known = (-float(weights.sum()), *weights[:-1].tolist())
    return (*known, float(weights[-1])), known


def _powers(ratios: np.ndarray, order: int) -> np.ndarray:
    return np.vander(ratios, order, increasing=True).T


def _equations(s: Settings, levels: NoiseLevels, i: int, order: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Equation 5 of the paper: the places of the steps before, in steps; what sums over them must be; and B(h)."""
    here, then = log_snr(levels.before[i]), levels.after[i]
    h = log_snr(then) - here
    ratios = np.array([(log_snr(levels.before[i - k]) - here) / h for k in range(1, order)])
    first = math.expm1(-h)
    b = -h if s["solver_type"] == "bh1" else first
    wanted, phi = [], first / -h - 1
    for k in range(1, order + 1):
        wanted.append(phi * math.factorial(k) / b)
        phi = phi / -h - 1 / math.factorial(k + 1)
    return ratios, np.array(wanted), -then.signal * b
