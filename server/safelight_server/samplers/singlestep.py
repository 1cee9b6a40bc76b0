"""DPM-Solver++ in blocks of one, two or three steps, each from where its block began: Lu et al. 2022, algorithm 1."""

from __future__ import annotations

from safelight_server.pixels.coefficients import Update

from .moves import Move, Row
from .multistep import log_snr
from .noise_levels import NoiseLevels
from .prediction import straight, x0
from .scheduler_classes import Settings

# The rows of the history: the sample before the block, x0 of the step before, and that of two steps before.
KEPT: tuple[tuple[Row, ...], ...] = (
    ((1.0, 0.0), (0.0, 1.0)),
    ((0.0, 0.0, 1.0), (0.0, 1.0)),
)


def dpmpp_2s(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """One step: the first of a block is of the first order, its second of the second, and so on."""
    steps = len(levels.before)
    order = min(_orders(s, steps)[i], max(1, held), i + 1)
    now, start, then = levels.before[i], levels.before[i - order + 1], levels.after[i]
    sample, denoised = straight(start, then)
    older = ((0.0, 0.0, 0.0, 1.0),) if held > 1 else ()
    if order == 1:
        return Move(Update(*x0(s, now), sample, denoised), keeps=(*KEPT[0], *older))
    here, *looks = _changes(s, levels, i, order, denoised)
    weights = [here, *looks]
    weights[-1] += denoised  # x0 at the block's start, from which all changes are counted
    return Move(Update(*x0(s, now), 0.0, weights[0]), (sample, *weights[1:]), (*KEPT[1], *older))


def _changes(s: Settings, levels: NoiseLevels, i: int, order: int, denoised: float) -> Row:
    """The weights of x0 at this step and at those before in its block, for how x0 changes over the block."""
    signal, places = levels.after[i].signal, [log_snr(levels.before[j]) for j in range(i, i - order, -1)]
    h = log_snr(levels.after[i]) - places[-1]
    near = h / (places[0] - places[-1])
    slope = signal - denoised / h
    if order == 2:
        bend = near * (denoised / 2 if s["solver_type"] == "midpoint" else slope)
        return bend, -bend
    if s["solver_type"] == "midpoint":
        return slope * near, 0.0, -slope * near
    far, curve = h / (places[1] - places[2]), 2 * ((denoised - signal * h) / h**2 + signal / 2)
    apart = 1 / near - 1 / far
    a, b = (-slope / far + curve) / apart, (slope / near - curve) / apart
    return a * near, b * far, -a * near - b * far


def _orders(s: Settings, steps: int) -> list[int]:
    """The order of each step. The last has the first where it leads to no noise, or else would end a whole block."""
    most, zero = s["solver_order"], s["final_sigmas_type"] == "zero"
    orders = [i % most + 1 for i in range(steps)]
    return [*orders[:-1], 1] if zero or (s["lower_order_final"] and orders[-1] == most) else orders
