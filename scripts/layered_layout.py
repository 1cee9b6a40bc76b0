"""Lays a graph out in rows, as Sugiyama, Tagawa, Toda (1981) do: order against crossings first, then places.

A link that is longer than one row passes each row between at a waypoint. All links into one node share its waypoints:
they join on their way, as brooks do, so that a picture of many links stays readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

SWEEPS = 40
STRAIGHT = 6  # how much more


class Place(NamedTuple):
    """A node where `row` is its own row, and above it a waypoint of the links that go to it."""

    name: str
    row: int


@dataclass(frozen=True)
class Layout:
    x: Mapping[Place, float]  # of the middle
    links: Sequence[tuple[Place, Place]]  # each from one row to the next


def lay_out(rows: Sequence[Sequence[str]], edges: Iterable[tuple[str, str]], widths: tuple[float, float]) -> Layout:
    """Where nodes stand in their rows; edges go down. `widths`: of a node and of a waypoint, each with its gap."""
    row_of = {name: row for row, names in enumerate(rows) for name in names}
    links = sorted({link for a, b in edges for link in _chain(a, b, row_of)})
    places = {Place(name, row) for name, row in row_of.items()} | {place for link in links for place in link}
    lines = [sorted(place for place in places if place.row == row) for row in range(len(rows))]
    size = {place: widths[row_of[place.name] != place.row] for place in places}
    lines = _ordered(lines, links)
    x = {place: float(i) * widths[0] for line in lines for i, place in enumerate(line)}
    for _ in range(SWEEPS):
        for line in (*lines, *reversed(lines)):
            x |= _spread(line, {place: _pull(place, links, x) for place in line}, size)
    return Layout(x, links)


def _chain(a: str, b: str, row_of: Mapping[str, int]) -> Iterable[tuple[Place, Place]]:
    way = [Place(a, row_of[a]), *(Place(b, row) for row in range(row_of[a] + 1, row_of[b] + 1))]
    return pairwise(way)


def _ordered(lines: list[list[Place]], links: Sequence[tuple[Place, Place]]) -> list[list[Place]]:
    """Sorts each row by the mean of its neighbours, down and up again; the order with the fewest crossings is kept."""
    best, fewest = lines, _crossings(lines, links)
    for sweep in range(SWEEPS):
        lines = [list(line) for line in lines]
        for i in range(1, len(lines)) if sweep % 2 == 0 else range(len(lines) - 2, -1, -1):
            beside = lines[i - 1] if sweep % 2 == 0 else lines[i + 1]
            rank = {place: (n + 0.5) / len(beside) for n, place in enumerate(beside)}
            own = {place: (n + 0.5) / len(lines[i]) for n, place in enumerate(lines[i])}
            lines[i].sort(key=lambda place: _mean(_beside(place, links, rank), own[place]))
        if (count := _crossings(lines, links)) < fewest:
            best, fewest = lines, count
    return best


def _crossings(lines: Sequence[Sequence[Place]], links: Sequence[tuple[Place, Place]]) -> int:
    rank = {place: n for line in lines for n, place in enumerate(line)}
    return sum(
        (rank[a] - rank[c]) * (rank[b] - rank[d]) < 0 for a, b in links for c, d in links if a < c and a.row == c.row
    )


def _beside(place: Place, links: Sequence[tuple[Place, Place]], known: Mapping[Place, float]) -> list[float]:
    return [known[b if a == place else a] for a, b in links if place in (a, b) and (b if a == place else a) in known]


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _pull(place: Place, links: Sequence[tuple[Place, Place]], x: Mapping[Place, float]) -> float:
    """The mean place of its neighbours; the next waypoint of the same way counts more, so that ways are straight."""
    along = [link for link in links if place in link and link[0].name == link[1].name]
    return _mean(_beside(place, links, x) + STRAIGHT * _beside(place, along, x), x[place])


def _spread(line: Sequence[Place], wanted: Mapping[Place, float], size: Mapping[Place, float]) -> dict[Place, float]:
    """The places nearest to those wanted, in this order and without overlap: isotonic regression, by pooling."""
    offsets = [0.0]
    for a, b in pairwise(line):
        offsets.append(offsets[-1] + (size[a] + size[b]) / 2)
    pools: list[tuple[float, int]] = []  # mean, count
    for place, offset in zip(line, offsets, strict=True):
        pools.append((wanted[place] - offset, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (mean, n), (other, m) = pools[-2:]
            pools[-2:] = [((mean * n + other * m) / (n + m), n + m)]
    means = [mean for mean, count in pools for _ in range(count)]
    return {place: mean + offset for place, mean, offset in zip(line, means, offsets, strict=True)}
