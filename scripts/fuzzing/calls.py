"""A call of a pixel function as data, to be made as often as it is wanted: in new buffers, at any offset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .faults import ARRAY_FAULTS

Plain = npt.NDArray[Any]

GUARD = 0xA5  # what lies before an array, and in an array not yet written to


@dataclass(frozen=True)
class Array:
    """An array to be made: its values, and the fault that is put in, one of ARRAY_FAULTS, with a number to vary it."""

    values: Plain
    fault: str = ""
    variant: int = 0

    def __repr__(self) -> str:
        fault = f", {self.fault} {self.variant}" if self.fault else ""
        return f"<{self.values.dtype} {self.values.shape}: {self.values.ravel()[:3]}...{fault}>"

    def place(self, before: int) -> tuple[Plain, Plain]:
        """A new array that ends where its memory ends, and the bytes before it."""
        return place(np.empty(before + self.values.nbytes, np.uint8), self.values, before)


def place(memory: Plain, values: Plain, before: int) -> tuple[Plain, Plain]:
    memory[:before].fill(GUARD)
    array: Plain = np.ndarray(values.shape, values.dtype, memory, before)
    array[...] = values
    return array, memory[:before]


@dataclass
class Made:
    """One execution's arguments, in buffers of its own; the arrays to look at afterwards, and the bytes before them."""

    arguments: list[Any]
    watched: list[Plain] = field(default_factory=list)
    guards: list[Plain] = field(default_factory=list)

    def watch(self, arguments: list[Any]) -> None:
        """The arrays among these that could be written to."""
        arrays = [each for each in arguments if isinstance(each, np.ndarray)]
        self.watched += [each for each in arrays if each.flags.writeable and each.dtype.kind in "fu"]


@dataclass
class Call:
    """A call to be made. `together` (first, second, distance) places two arrays in one buffer."""

    function: str
    arguments: list[Any]
    together: tuple[int, int, int] | None = None

    def make(self, offset: int, *, views: bool = False) -> Made:
        """New arguments; array number i begins (2 i + 1) offset elements, modulo 16, after its buffer.

        `views` hands on memoryviews instead of arrays without a fault.
        """
        made = Made(list(self.arguments))
        arrays = [(i, argument) for i, argument in enumerate(self.arguments) if isinstance(argument, Array)]
        for i, argument in arrays:
            made.arguments[i], guard = argument.place((2 * i + 1) * offset % 16 * argument.values.itemsize)
            made.guards.append(guard)
        if self.together:
            self._put_together(made.arguments, *self.together)
        made.watch(made.arguments)
        for i, argument in arrays:
            if argument.fault:
                made.arguments[i] = ARRAY_FAULTS[argument.fault](made.arguments[i], argument.variant)
                made.watch([made.arguments[i]])
            elif views:
                made.arguments[i] = memoryview(made.arguments[i])
        return made

    def _put_together(self, arguments: list[Any], first: int, second: int, distance: int) -> None:
        values = {i: self.arguments[i].values for i in (first, second)}
        memory = np.empty(max(values[first].nbytes, distance + values[second].nbytes), np.uint8)
        for i, before in ((first, 0), (second, distance)):
            arguments[i] = np.ndarray(values[i].shape, values[i].dtype, memory, before)
            arguments[i][...] = values[i]
