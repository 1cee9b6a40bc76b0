"""The random numbers of a seed: those that torch.randn gives on a CPU, without torch."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

BLOCK = 16  # torch makes normal numbers in blocks: eight radii, then eight angles
TAU = np.float32(2 * math.pi)
UNIT = np.float32(2**-24)


def randn(seed: int, position: int, shape: tuple[int, ...]) -> tuple[Floats, int]:
    """Normal numbers, float32 of `shape`, and the position after them. Without state: noise can go on anywhere.

    The numbers are, to within 1e-6, those of torch.randn(shape) on a CPU generator with this seed that gave `position`
    32-bit numbers before; of a seed, torch and we keep the low 32 bits. They are Box and Muller's (1958) of a Mersenne
    twister's. ValueError for fewer than 16 numbers, which torch makes in another way, and for a negative position.
    """
    count = math.prod(shape)
    if count < BLOCK:
        raise ValueError(f"shape must have at least {BLOCK} elements, not {shape}")
    if position < 0:
        raise ValueError(f"position must be 0 or more, not {position}")
    rest = count % BLOCK
    uniform = _uniform(seed, position, count + (BLOCK if rest else 0))
    normal = np.empty(count, np.float32)
    normal[: count - rest] = _normal(uniform[: count - rest])
    if rest:
        # The last 16 are made anew of 16 more numbers; that they overlap whole blocks is torch's way.
        normal[-BLOCK:] = _normal(uniform[-BLOCK:])
    return normal.reshape(shape), position + len(uniform)


def _uniform(seed: int, position: int, count: int) -> Floats:
    """Numbers (count,) in [0, 1), of 24 bits each."""
    generator = np.random.MT19937(0)
    generator._legacy_seeding(seed & 0xFFFFFFFF)  # init_genrand, as torch; a new-style seed is hashed
    generator.random_raw(position, output=False)
    return (generator.random_raw(count) & 0xFFFFFF).astype(np.float32) * UNIT


def _normal(uniform: Floats) -> Floats:
    """Box-Muller, block by block: (n,) to (n,), for an n that is a multiple of 16."""
    first, second = np.split(uniform.reshape(-1, BLOCK), 2, axis=1)
    radius = np.sqrt(-2 * np.log(1 - first))  # 1 - first, as a logarithm can have 1 but not 0
    angle = TAU * second
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)
