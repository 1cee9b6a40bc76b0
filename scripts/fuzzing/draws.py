"""Draws calls of the pixel functions from a seed, good ones and bad ones.

A name and a seed give the same call for ever: what fails can be drawn again.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from safelight_server.pixels.coefficients import Update

from .calls import GUARD, Array, Call, Plain
from .faults import ARRAY_FAULTS, BAD_CLIPS, BAD_NUMBERS, BAD_UPDATES

NUMBERS: list[Any] = [0, 1, True, -0.0, 0.5, -1.0, 7.5, 1e-45, 1e-50, 5e-324, 3.4e38, -3.4e38, np.float32(0.1)]
CLIPS: list[Any] = [None, None, math.inf, 1, 0.8, 1e-45, 1e-46, 5e-324, 3.4e38, np.float32(0.3)]
_EDGES = "0 -0 1e-45 -1e-45 1.1754942e-38 1.1754944e-38 3.4028235e38 -3.4028235e38 inf -inf nan -nan 1 -1 1.0000001"
EDGES = np.array([*map(float, _EDGES.split()), *((2 * k + 1) / 255 - 1 for k in range(0, 255, 9))], np.float32)


class Draw:
    """Values and arguments by chance."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def size(self) -> tuple[int, int]:
        sides = self.random.randint(1, 17), self.random.randint(1, 17)
        long = self.random.random() < 0.04  # past one block of the C loops, and where these look ahead
        return (1, self.random.choice([255, 256, 257, 511, 512, 513, 530])) if long else sides

    def floats(self, *shape: int) -> Array:
        """Any bits, edge values, a constant or nearly one, or ordinary values, by chance with an edge among them."""
        raw = np.frombuffer(self.random.randbytes(4 * math.prod(shape)), np.uint32)
        style = self.random.randrange(6)
        if style == 0:
            values: Plain = raw.view(np.float32)
        elif style == 1:
            values = EDGES[raw % EDGES.size]
        elif style == 2:
            values = np.full(raw.size, self.random.choice([*EDGES, 0.7]), np.float32)
            if self.random.random() < 0.5:
                values = (values.view(np.uint32) + raw % 3).astype(np.uint32).view(np.float32)
        else:
            values = (raw * (4 / 2**32) - 2).astype(np.float32)
            if style == 3:
                values[self.random.randrange(raw.size)] = self.random.choice(EDGES)
        return Array(values.reshape(shape))

    def bytes(self, *shape: int) -> Array:
        return Array(np.frombuffer(self.random.randbytes(math.prod(shape)), np.uint8).reshape(shape))

    def number(self) -> Any:
        return self.random.choice(NUMBERS) if self.random.random() < 0.5 else self.random.uniform(-9, 9)

    def update(self) -> Any:
        weights = [self.number() if self.random.random() < 0.7 else 0.0 for _ in range(7)]
        return Update._make([*weights, self.random.choice(CLIPS)])


def empty(dtype: type, *shape: int) -> Array:
    return Array(np.full(math.prod(shape) * np.dtype(dtype).itemsize, GUARD, np.uint8).view(dtype).reshape(shape))


# ---- good calls: one for each function of the extension ----


def _planes_from_picture(draw: Draw) -> list[Any]:
    size = draw.size()
    return [draw.bytes(*size, draw.random.choice([3, 4])), empty(np.float32, 1, 3, *size)]


def _picture_from_planes(draw: Draw) -> list[Any]:
    size = draw.size()
    return [draw.floats(1, 3, *size), empty(np.uint8, *size, 3)]


def _preview_from_latents(draw: Draw) -> list[Any]:
    size, channels = draw.size(), draw.random.choice([1, 2, 3, 4, 5, 16, 63, 64, 65])
    return [draw.floats(1, channels, *size), draw.floats(channels, 3), draw.floats(3), empty(np.uint8, *size, 3)]


def _weights_from_mask(draw: Draw) -> list[Any]:
    (height, width), factor = draw.size(), draw.random.choice([1, 1, 2, 3, 8])
    return [draw.bytes(height * factor, width * factor), empty(np.float32, 1, 1, height, width)]


def _advance(draw: Draw) -> list[Any]:
    random, shape, update = draw.random, (draw.random.randint(1, 5), *draw.size()), draw.update()
    optional = [draw.floats(1, *shape) if np.float32(w) or random.random() < 0.5 else None for w in update[5:7]]
    rescale = random.choice([0, 0.0, 5e-324, 0.7, 1, 1.0, random.random(), *map(np.float32, (0.1, 0.7))])
    arrays = [draw.floats(1, *shape), draw.floats(random.choice([1, 2, 2, 2, 3]), *shape)]
    return [*arrays, draw.number(), rescale, update, *optional, *(empty(np.float32, 1, *shape) for _ in range(2))]


def _blend(draw: Draw) -> list[Any]:
    channels, size = draw.random.randint(1, 5), draw.size()
    weights, (sample, original, noise) = draw.floats(1, 1, *size), (draw.floats(1, channels, *size) for _ in range(3))
    return [sample, weights, original, noise, draw.number(), draw.number(), empty(np.float32, 1, channels, *size)]


GOOD: dict[str, Callable[[Draw], list[Any]]] = {
    "planes_from_picture": _planes_from_picture,
    "picture_from_planes": _picture_from_planes,
    "preview_from_latents": _preview_from_latents,
    "weights_from_mask": _weights_from_mask,
    "advance": _advance,
    "blend": _blend,
}
FUNCTIONS = list(GOOD)


def draw_call(function: str, seed: int) -> Call:
    random = Random(f"{function} {seed}")
    call = Call(function, GOOD[function](Draw(random)))
    if random.random() < 0.4:
        random.choices([_spoil_arrays, _spoil_number, _put_together, _miscount], [60, 20, 15, 5])[0](random, call)
    return call


# ---- bad calls: a good one with one fault, or two in its arrays ----


def _spoil_arrays(random: Random, call: Call) -> None:
    arrays = [i for i, argument in enumerate(call.arguments) if isinstance(argument, Array)]
    for i in random.sample(arrays, random.choice([1, 1, 2])):
        fault = random.choice(list(ARRAY_FAULTS))
        call.arguments[i] = Array(call.arguments[i].values, fault, random.randrange(sys.maxsize))


def _spoil_number(random: Random, call: Call) -> None:
    numbers = [i for i, argument in enumerate(call.arguments) if isinstance(argument, int | float | np.number | Update)]
    for i in random.sample(numbers, min(1, len(numbers))):
        update = call.arguments[i]
        call.arguments[i] = _bad_update(random, update) if isinstance(update, Update) else random.choice(BAD_NUMBERS)


def _bad_update(random: Random, update: Update) -> Any:
    bad, place = random.choice(["clip", "number", "length", "kind"]), random.randrange(7)
    if bad == "clip":
        return update._replace(clip=random.choice(BAD_CLIPS))
    if bad == "number":
        return (*update[:place], random.choice(BAD_NUMBERS), *update[place + 1 :])
    return (*update, 1.0)[: random.choice([*range(8), 9])] if bad == "length" else random.choice(BAD_UPDATES)


def _put_together(random: Random, call: Call) -> None:
    """Two arrays in one buffer, by chance side by side; that is allowed, and so is all sharing among inputs."""
    first, second = random.sample([i for i, argument in enumerate(call.arguments) if isinstance(argument, Array)], 2)
    most = -(-call.arguments[first].values.nbytes // 4) * 4
    call.together = first, second, random.choice([0, most, most, random.randrange(0, most, 4)])


def _miscount(random: Random, call: Call) -> None:
    call.arguments = [*call.arguments, None] if random.random() < 0.3 else call.arguments[: -random.choice([1, 2])]
