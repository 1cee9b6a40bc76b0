"""Which peer a figure is held against: the better one, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmark.summary import Summary


def fastest(samples: Mapping[str, Summary], ways: Iterable[str] | None = None) -> str:
    """Of these ways, or of all that are not ours, the one with the least median."""
    others = list(ways) if ways is not None else [name for name in samples if not name.startswith("safelight")]
    return min(others, key=lambda name: samples[name].median)
