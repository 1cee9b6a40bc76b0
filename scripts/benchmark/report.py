"""Keeps the figures by processor, new ones in the place of old ones; writes pages, plots and an index."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import table
from .figures import Figure

FOLDER, INDEX = "bench", "bench.md"


def path(folder: Path, machine: Mapping[str, Any]) -> Path:
    """Where the figures of this machine's processor are kept: a JSON file, its page and its plot beside it."""
    words = f"{machine['processor']} {machine['cores']} cores".lower()
    return folder / FOLDER / f"{re.sub('[^a-z0-9]+', '-', words).strip('-')}.json"


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


def write(folder: Path, machine: Mapping[str, Any], figures: list[Figure]) -> None:
    """Writes the processor's JSON, page and plot, and the index of all processors."""
    from . import plot

    write_text(folder, machine, figures)
    plot.draw(path(folder, machine).with_suffix(".png"), figures)


def write_text(folder: Path, machine: Mapping[str, Any], figures: list[Figure]) -> None:
    """Writes all but the plot."""
    kept = path(folder, machine)
    kept.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "figures": [figure.to_json() for figure in figures]}
    kept.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    kept.with_suffix(".md").write_text(table.page(machine, figures), encoding="utf-8")
    (folder / INDEX).write_text(index(folder), encoding="utf-8")


def index(folder: Path) -> str:
    """The page that says on which processors there are figures."""
    found = {kept: json.loads(kept.read_text(encoding="utf-8")) for kept in sorted((folder / FOLDER).glob("*.json"))}
    return table.index({kept.stem: (content["machine"], read(kept)) for kept, content in found.items()})
