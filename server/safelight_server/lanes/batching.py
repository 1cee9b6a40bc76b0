"""Steps of several jobs as one batch: which may be joined, and how their rows go together and apart again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .network import Network, Shape, Tensor, is_shared
from .ticket import Ticket

Signature = tuple[Any, ...]  # a network's name, and the shape of one row of each of its inputs


@dataclass(eq=False)
class Entry:
    """One job's inputs for one network, while a lane has them. The first axis of every input is rows."""

    network: Network
    inputs: Mapping[str, Tensor]
    ticket: Ticket
    goes_on: bool = True  # once this has run, its job asks for the next inference at once
    failures: int = 0  # inferences of it that failed
    outputs: asyncio.Future[dict[str, Tensor]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def shape(self) -> Shape:
        """Of the first input."""
        return next(iter(self.inputs.values())).shape

    @property
    def rows(self) -> int:
        return self.shape[0]

    def joins(self, other: Entry) -> bool:
        """Whether both may be rows of one batch. What was in a batch that failed is run alone."""
        alike = self.signature == other.signature and self._shared == other._shared
        return alike and not self.failures and not other.failures

    @cached_property
    def signature(self) -> Signature:
        return signature(self.network, self.inputs)

    @cached_property
    def _shared(self) -> Mapping[str, bytes]:
        """The values that are one for all rows of a batch."""
        shapes = self.network.shapes
        return {name: value[:1].tobytes() for name, value in self.inputs.items() if is_shared(shapes[name])}


def signature(network: Network, inputs: Mapping[str, Tensor]) -> Signature:
    """Entries of the same signature can be rows of one batch."""
    return network.name, *sorted((name, value.shape[1:]) for name, value in inputs.items())


class Batching:
    """The batches that a lane may make: those of which a warm-up found that they pay, and that they change no bit."""

    def __init__(self) -> None:
        self._sizes: dict[Signature, tuple[int, ...]] = {}

    def allow(self, signature: Signature, sizes: Iterable[int]) -> None:
        """Entries of this signature may be joined to batches of so many rows; none: they are run one by one."""
        self._sizes[signature] = tuple(sorted(sizes, reverse=True))

    def knows(self, signature: Signature) -> bool:
        """Whether a warm-up measured it, whatever came of it."""
        return signature in self._sizes

    def sizes(self, signature: Signature) -> tuple[int, ...]:
        """The allowed numbers of rows, the largest first."""
        return self._sizes.get(signature, ())

    def told(self, network: str) -> list[list[Any]]:
        """What a warm-up found of a network, in lists, numbers and texts: for `recall`."""
        return [
            [[[name, list(shape)] for name, shape in known[1:]], list(sizes)]
            for known, sizes in self._sizes.items()
            if known[0] == network
        ]

    def recall(self, network: str, told: Iterable[Any]) -> None:
        for inputs, sizes in told:
            self.allow((network, *((name, tuple(shape)) for name, shape in inputs)), sizes)

    def forget(self, network: str) -> None:
        self._sizes = {known: sizes for known, sizes in self._sizes.items() if known[0] != network}

    def batch(self, first: Entry, alike: Sequence[Entry]) -> list[Entry]:
        """`first`, and those of `alike` that fill up the largest allowed batch with it, or `first` alone.

        `alike`: entries of the same signature, the most urgent first.
        """
        for size in self.sizes(first.signature) if alike else ():
            batch, room = [first], size - first.rows
            for entry in alike:
                if entry.rows <= room:
                    batch.append(entry)
                    room -= entry.rows
            if not room:
                return batch
        return [first]


def join(batch: Sequence[Entry]) -> Mapping[str, Tensor]:
    """The inputs of all entries, one below the other."""
    if len(batch) == 1:
        return batch[0].inputs
    return {name: np.concatenate([entry.inputs[name] for entry in batch]) for name in batch[0].inputs}


def split(batch: Sequence[Entry], outputs: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Each entry's own rows of the outputs, in the order of the batch."""
    if len(batch) == 1:
        return [dict(outputs)]
    ends = np.cumsum([entry.rows for entry in batch])
    return [
        {name: value[end - entry.rows : end] for name, value in outputs.items()}
        for entry, end in zip(batch, ends, strict=True)
    ]
