"""What a lane runs: a graph of a model, in this process or elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy.typing as npt

from .buffers import Buffers

Tensor = npt.NDArray[Any]
Shape = tuple[int, ...]


class Network(Protocol):
    """One graph that a task can await; the lane sees to it that one task at a time does.

    `broken`: it has failed, and runs nothing until `load` was called.
    """

    @property
    def name(self) -> str: ...

    @property
    def broken(self) -> bool: ...

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Of the inputs, by name; -1 for a dimension of any size."""
        ...

    @property
    def input(self) -> str:
        """The name of the first input, which is the only one of most graphs."""
        ...

    @property
    def precision(self) -> str:
        """Of its arithmetic: "f32", "bf16" or "f16"."""
        ...

    @property
    def buffers(self) -> Buffers:
        """What its runs take."""
        ...

    async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Runs the graph once: arrays by the names of its inputs to arrays by the names of its outputs.

        A cancelled task stops it early and leaves it ready for the next run. Raises InferenceFailed.
        """
        ...

    def load(self, precision: str = "") -> None:
        """Makes it ready, or ready again, in that precision from now on, if one is given; blocks for seconds."""
        ...

    def trim(self) -> None:
        """Gives back the memory that a larger run took than those to come will need."""
        ...

    def close(self) -> None:
        """Gives back all that it holds; it runs no more."""
        ...


def is_shared(shape: Shape) -> bool:
    """Whether an input of this shape is one value for all rows, as some graphs have the timestep."""
    return shape in ((), (1,))
