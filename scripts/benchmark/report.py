"""Keeps the figures in bench.json, where new ones take the place of old ones, and writes the page and the plot."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import table
from .figures import Figure


def read(path: Path) -> list[Figure]:
    """The figures of earlier runs; none where there is no file."""
    if not path.exists():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    return [Figure.from_json(figure) for figure in content["figures"]]


def merge(old: Iterable[Figure], new: Iterable[Figure]) -> list[Figure]:
    """Old figures and new ones. Where a row was run again on a case, all its old figures go: names may have changed."""
    new = list(new)
    again = {(figure.row, figure.case) for figure in new}
    kept = [figure for figure in old if (figure.row, figure.case) not in again]
    return sorted([*kept, *new], key=lambda figure: (figure.row, figure.case))


def write(folder: Path, machine: dict[str, Any], figures: list[Figure]) -> None:
    """Writes bench.json, bench.md and bench.png."""
    from . import plot

    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder, machine, figures)
    plot.draw(folder / "bench.png", figures)


def write_text(folder: Path, machine: dict[str, Any], figures: list[Figure]) -> None:
    """Writes bench.json and bench.md."""
    content = {"machine": machine, "figures": [figure.to_json() for figure in figures]}
    (folder / "bench.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "bench.md").write_text(table.page(machine, figures), encoding="utf-8")
