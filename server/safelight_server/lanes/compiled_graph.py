"""One compilation of a graph: its infer request, its ports by name, and the shapes that it has run at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .network import Shape, Tensor, is_shared


class Graph:
    """What one compilation gives. It is replaced as a whole: an inference that runs keeps the one that it began on."""

    def __init__(self, compiled: Any, outputs: Sequence[str]) -> None:
        self.compiled, self.request = compiled, compiled.create_infer_request()
        self.inputs: dict[str, tuple[int, Any]] = {
            name: (index, port.element_type.to_dtype()) for name, index, port in _named(compiled)
        }
        self.ports = {name: compiled.output(name) for name in outputs} or {
            min(port.names, default=str(index)): port for index, port in enumerate(compiled.outputs)
        }
        self.shapes = shapes_of(compiled)
        self.shared = {index for name, (index, _) in self.inputs.items() if is_shared(self.shapes[name])}
        self.last: dict[int, Shape] = {}  # shapes of the last inference that ended
        self.ran: set[tuple[Shape, ...]] = set()  # the shapes of all that ended
        self.smallest: dict[int, Tensor] | None = None  # inputs, all zeros, as small as the smallest that ever ran

    def note(self, given: dict[int, Tensor], shapes: dict[int, Shape]) -> None:
        """An inference of these inputs has ended."""
        self.last = shapes
        self.ran.add(tuple(shapes.values()))
        if self.smallest is None or _size(given) < _size(self.smallest):
            self.smallest = {index: np.zeros_like(value[:1] if value.ndim else value) for index, value in given.items()}

    def unlike(self, *others: dict[int, Shape]) -> dict[int, Tensor]:
        """Small inputs, each of another shape than it has in these: of other rows.

        What a graph makes of prompts alone has the shape of its rows, whatever the size of the picture: with rows that
        were there before, a node that was not reached would take itself for up to date.
        """
        assert self.smallest is not None
        for rows in range(1, len(others) + 2):
            small = {index: self._repeated(index, value, rows) for index, value in self.smallest.items()}
            apart = (index for index in small if index not in self.shared)
            if all(small[index].shape != shapes[index] for index in apart for shapes in others if index in shapes):
                return small
        raise AssertionError("one of so many differs from all")

    def _repeated(self, index: int, value: Tensor, rows: int) -> Tensor:
        return value if index in self.shared else np.repeat(value, rows, axis=0)


def shapes_of(graph: Any) -> dict[str, Shape]:
    """Of the inputs of a graph, compiled or not, by name; -1 for a dimension of any size."""
    return {
        name: tuple(size.get_length() if size.is_static else -1 for size in port.partial_shape)
        for name, _, port in _named(graph)
    }


def _named(graph: Any) -> Iterator[tuple[str, int, Any]]:
    for index, port in enumerate(graph.inputs):
        for name in port.names or {str(index)}:  # only graphs that Optimum wrote are sure to have names
            yield name, index, port


def _size(inputs: Mapping[int, Tensor]) -> int:
    return sum(value.size for value in inputs.values())
