"""What can be wrong with an argument of a pixel function: arrays of another type, shape or order, numbers out of range.

A fault that is none for an argument (a read-only input) does no harm: the twin says what must be refused.
"""

from __future__ import annotations

import array
import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Plain = npt.NDArray[Any]

NOT_NUMBERS: list[Any] = ["5", b"5", 1j, [1.0]]
BAD_NUMBERS: list[Any] = [
    *NOT_NUMBERS,
    None,
    math.nan,
    math.inf,
    -math.inf,
    1e39,
    -1e39,
    3.4028235677973366e38,
    10**400,
]
BAD_CLIPS: list[Any] = [*NOT_NUMBERS, math.nan, -math.inf, 1e39, 10**400, 0, -0.0, 0.0, -1.0, -5e-324, False]
BAD_UPDATES: list[Any] = [None, 1.0, "12345678", [1.0] * 8, {}, np.ones(8)]

MOST_DIMENSIONS = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32  # written out, longer than C's texts
TYPES = ["f2", "f8", ">f4", "<f4", "i1", "i4", "u1", "?", "c8", "M8[s]", "O", "S1", "U1", "V4"]
SHAPES: list[Callable[[Plain], Any]] = [
    lambda a: a[None],
    lambda a: a[0],
    lambda a: a[:0],
    lambda a: a[..., :0],
    lambda a: a[1:],
    lambda a: a[..., 1:],
    lambda a: a.ravel(),
    lambda a: a.reshape(a.shape[::-1]),
    lambda a: a.reshape(*a.shape[:-2], -1),
    lambda a: a.reshape(-1, 1, 1),
    lambda a: a.reshape((*a.shape, *(1,) * (MOST_DIMENSIONS - a.ndim))),
    lambda a: np.concatenate([a, a]),
    lambda a: np.concatenate([a, a], axis=-1),
    lambda a: np.zeros((), a.dtype),
    lambda a: np.broadcast_to(a[:1], (10**9, *a.shape[1:])),
    lambda a: np.broadcast_to(a.ravel()[0], (1, 10**4, 10**4, 10**4)),
    lambda a: np.broadcast_to(a.ravel()[0], (10,) * 17 + (1,) * (MOST_DIMENSIONS - 17)),
]
ORDERS: list[Callable[[Plain], Plain]] = [
    lambda a: a.T,
    lambda a: a[::-1],
    lambda a: a[..., ::-1],
    lambda a: np.asfortranarray(a),
    lambda a: np.repeat(a, 2, axis=0)[::2],
    lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    lambda a: np.broadcast_to(a[:1], a.shape),
    lambda a: a.swapaxes(-1, a.ndim // 2 - 1),
]


def _released() -> memoryview:
    view = memoryview(b"released")
    view.release()
    return view


OBJECTS: list[Callable[[Plain], Any]] = [
    lambda a: None,
    lambda a: 5,
    lambda a: "array",
    lambda a: [1.0, 2.0],
    lambda a: b"",
    lambda a: a.tobytes(),
    lambda a: bytearray(a.nbytes),
    lambda a: a.tolist(),
    lambda a: array.array("f", [1.0]),
    lambda a: (ctypes.c_float * 3)(),
    lambda a: a.dtype,
    lambda a: _released(),
]


def _of_type(a: Plain, variant: int) -> Plain:
    return np.zeros(a.shape, TYPES[variant % len(TYPES)])


def _off_its_place(a: Plain, variant: int) -> Plain:
    before = 1 + variant % 7
    moved: Plain = np.ndarray(a.shape, a.dtype, np.empty(before + a.nbytes, np.uint8), before)
    moved[...] = a
    return moved


def _read_only(a: Plain, variant: int) -> Plain:
    view = a.view()
    view.flags.writeable = False
    return view


def _one_of(changes: list[Callable[[Plain], Any]]) -> Callable[[Plain, int], Any]:
    return lambda a, variant: changes[variant % len(changes)](a)


ARRAY_FAULTS: dict[str, Callable[[Plain, int], Any]] = {
    "type": _of_type,
    "shape": _one_of(SHAPES),
    "order": _one_of(ORDERS),
    "off its place": _off_its_place,
    "read-only": _read_only,
    "object": _one_of(OBJECTS),
}
