"""Steps of several jobs as one batch: which may be joined, and how rows go together and apart again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .network import Network, Tensor
from .ticket import Ticket

Kind = tuple[Any, ...]  # a network and the shape of a row of each of its inputs


@dataclass(eq=False)
class Part:
    """One job's inputs for one network, on their way through the lane; all have as many rows."""

    network: Network
    inputs: Mapping[str, Tensor]
    ticket: Ticket
    outputs: asyncio.Future[dict[str, Tensor]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))

    @cached_property
    def kind(self) -> Kind:
        return kind(self.network, self.inputs)


def kind(network: Network, inputs: Mapping[str, Tensor]) -> Kind:
    return network.name, *sorted((name, value.shape[1:]) for name, value in inputs.items())


class Batching:
    """Batches as they were measured: nothing is joined of which nobody knows that it pays and changes no bit."""

    def __init__(self) -> None:
        self._sizes: dict[Kind, tuple[int, ...]] = {}

    def allow(self, kind: Kind, sizes: Iterable[int]) -> None:
        """Batches of so many rows."""
        self._sizes[kind] = tuple(sorted(sizes, reverse=True))

    def knows(self, kind: Kind) -> bool:
        """Whether it was measured, whatever came of it."""
        return kind in self._sizes

    def sizes(self, kind: Kind) -> tuple[int, ...]:
        """The largest first."""
        return self._sizes.get(kind, ())

    def batch(self, first: Part, alike: Sequence[Part]) -> list[Part]:
        """`first`, and those of its kind, the most urgent first, that fill up the largest batch with it."""
        for size in self.sizes(first.kind) if alike else ():
            batch, room = [first], size - first.rows
            for part in alike:
                if part.rows <= room:
                    batch.append(part)
                    room -= part.rows
            if not room:
                return batch
        return [first]


def join(batch: Sequence[Part]) -> Mapping[str, Tensor]:
    if len(batch) == 1:
        return batch[0].inputs
    return {name: np.concatenate([part.inputs[name] for part in batch]) for name in batch[0].inputs}


def split(batch: Sequence[Part], outputs: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Each part's own rows of the outputs."""
    ends = np.cumsum([part.rows for part in batch])
    return [
        {name: value[end - part.rows : end] for name, value in outputs.items()}
        for part, end in zip(batch, ends, strict=True)
    ]
