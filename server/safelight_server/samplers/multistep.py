"""Samplers that look back on the steps before: one step of each as a Move, as in steps.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from safelight_server.pixels.coefficients import Update

from .moves import X0, Move, Row
from .noise_levels import Level, NoiseLevels, level
from .prediction import NOISE, straight, x0
from .scheduler_classes import Settings
from .training import alphas_bar

# Adams and Bashforth's weights of the derivatives at this step, at the one before, and so on.
ADAMS: tuple[Row, ...] = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def log_snr(level: Level) -> float:
    """Lu et al.'s lambda."""
    return math.log(level.signal / level.noise)


def kept(new: Row, held: int, most: int) -> tuple[Row, ...]:
    """The history after a step: a new row, made of the sample and x0, before the old ones; `most` rows in all."""
    old = ((0.0, 0.0, *(float(row == j) for row in range(j + 1))) for j in range(min(held, most - 1)))
    return (new, *old)


# ---- DPM-Solver++ ----


def dpmpp_2m(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """DPM-Solver++(2M), Lu et al. 2022, algorithm 2: from the x0 of this step and of the one before, how x0 changes.

    With solver_order 3, also how that changes.
    """
    now, then = levels.before[i], levels.after[i]
    sample, denoised = straight(now, then)
    order, keeps = _order(s, i, len(levels.before), held), kept(X0[0], held, max(1, s["solver_order"] - 1))
    if order == 1 or then.noise == now.noise:
        return Move(Update(*x0(s, now), sample, denoised), keeps=keeps)
    if order == 3:
        here, *looks = _bent_twice(levels, i, denoised)
        return Move(Update(*x0(s, now), sample, denoised + here), tuple(looks), keeps)
    before, here, ahead = (log_snr(level) for level in (levels.before[i - 1], now, then))
    h = ahead - here
    bend = h * denoised / 2 if s["solver_type"] == "midpoint" else then.signal * (h + math.expm1(-h))
    bend /= here - before
    return Move(Update(*x0(s, now), sample, denoised + bend), (-bend,), keeps)


def _bent_twice(levels: NoiseLevels, i: int, denoised: float) -> Row:
    """The third order's weights of x0 at this step and at the two before, beside the first order's `denoised`."""
    now, then = levels.before[i], levels.after[i]
    oldest, older, here, ahead = (log_snr(at) for at in (levels.before[i - 2], levels.before[i - 1], now, then))
    h = ahead - here
    slope = then.signal - denoised / h  # the weights of h times the first derivative of x0, and of what follows it
    curve = (denoised - then.signal * h) / h**2 + then.signal / 2
    near, far = h / (here - older), h / (older - oldest)
    share, both = 1 / near / (1 / near + 1 / far), 1 / (1 / near + 1 / far)
    a, b = slope * (1 + share) + curve * both, -slope * share - curve * both
    return a * near, -a * near + b * far, -b * far


def dpmpp_2m_sde(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """DPM-Solver++(2M) of the stochastic equation: Lu et al. 2022, appendix; each step takes fresh noise."""
    now, then = levels.before[i], levels.after[i]
    decay = then.noise * now.signal / (then.signal * now.noise)  # exp(-h)
    gain = then.signal * (1 - decay**2)
    sample, noise = then.noise / now.noise * decay, then.noise * math.sqrt(1 - decay**2)
    if _order(s, i, len(levels.before), held) == 1:
        return Move(Update(*x0(s, now), sample, gain, noise=noise))
    before, here, ahead = (log_snr(level) for level in (levels.before[i - 1], now, then))
    h = ahead - here
    bend = h * gain / 2 if s["solver_type"] == "midpoint" else h * then.signal - gain / 2
    bend /= here - before
    return Move(Update(*x0(s, now), sample, gain + bend, noise=noise), (-bend,))


def _order(s: Settings, i: int, steps: int, held: int) -> int:
    """How many estimates a solver's step uses: few at the start, and few at the end of a short run."""
    short, left = s["lower_order_final"] and steps < 15, steps - i
    straight = left == 1 and (s.get("euler_at_final") or short or s.get("final_sigmas_type") == "zero")
    return 1 if straight else min(s["solver_order"], held + 1, i + 1, left if short else steps)


# ---- sums over derivatives ----


def _integrals(
    nodes: Sequence[float], stop: float, integral: Callable[[list[float], float, float], float]
) -> list[float]:
    """The integral of each Lagrange polynomial of the nodes, from the first of them to `stop`."""
    found = []
    for node in nodes:
        powers = [1.0]  # the coefficients of the product of u - x, for all other nodes x
        for x in nodes:
            if x != node:
                powers = [low - x * high for low, high in zip([0.0, *powers], [*powers, 0.0], strict=True)]
        found.append(integral(powers, nodes[0], stop) / math.prod(node - x for x in nodes if x != node))
    return found


def _over_u(powers: list[float], start: float, stop: float) -> float:
    return sum(power * (stop ** (k + 1) - start ** (k + 1)) / (k + 1) for k, power in enumerate(powers))


def _over_exp_u(powers: list[float], start: float, stop: float) -> float:
    total, sign = 0.0, 1
    while powers:  # by parts: the integral of p exp(u) is (p - p' + p'' - ...) exp(u)
        total += sign * (_value(powers, stop) * math.exp(stop) - _value(powers, start) * math.exp(start))
        powers, sign = [k * power for k, power in enumerate(powers)][1:], -sign
    return total


def _value(powers: list[float], u: float) -> float:
    return sum(power * u**k for k, power in enumerate(powers))


def lms(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """k-diffusion's sample_lms: the derivative is a polynomial in sigma through the last four steps'."""
    nodes = [levels.before[j].noise for j in range(i, max(-1, i - held - 1), -1)]
    here, *looks = _integrals(nodes, levels.after[i].noise, _over_u)
    derivative = (1 / nodes[0], -1 / nodes[0])
    update = Update(*x0(s, levels.before[i]), 1 + here * derivative[0], here * derivative[1])
    return Move(update, tuple(looks), kept(derivative, held, 3))


def deis(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """DEIS, Zhang and Chen 2022 (log-rho): the noise is a polynomial in log(sigma) through the last steps'."""
    now, then, order = levels.before[i], levels.after[i], _order(s, i, len(levels.before), held)
    nodes = [-log_snr(levels.before[j]) for j in range(i, i - order, -1)]
    here, *looks = (then.signal * part for part in _integrals(nodes, -log_snr(then), _over_exp_u))
    noise = (1 / now.noise, -now.signal / now.noise)
    update = Update(*x0(s, now), then.signal / now.signal + here * noise[0], here * noise[1])
    return Move(update, tuple(looks), kept(noise, held, max(1, s["solver_order"] - 1)))


def pndm(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """PNDM without Runge-Kutta steps, which others call PLMS: Liu et al. 2022, with the weights of ADAMS.

    The first step is taken twice: then with the mean of the outputs at both of its ends.
    """
    now, then, again = levels.before[i], levels.after[i], i == 1 and held > 1
    a, b = x0(s, now)
    output = (-a / b, 1 / b)  # what the network said, of the sample and x0
    weights = (0.5, 0.5) if again else ADAMS[min(held, 3)]
    start = _first_level(s, levels) if again else now
    ratio = then.signal / start.signal
    part, whole = (weight * (then.noise - start.noise * ratio) for weight in NOISE[s["prediction_type"]](*start))
    sample, looks = ratio + part, tuple(whole * weight for weight in weights[1:])
    if again:
        return Move(Update(a, b, 0.0, 0.0, whole * weights[0]), (*looks, sample), ((0.0, 0.0, 1.0),))
    keeps = (output, (1.0, 0.0)) if i == 0 and len(levels.before) > 1 else kept(output, held, 3)
    return Move(Update(a, b, sample, 0.0, whole * weights[0]), looks, keeps)


def _first_level(s: Settings, levels: NoiseLevels) -> Level:
    """Where the first step is taken to have begun when it is taken again, as diffusers counts timesteps."""
    down = s["num_train_timesteps"] // (len(levels.before) - 1)
    return level(float(alphas_bar(s)[int(levels.timesteps[1]) + down]))
