"""What was measured of each line, kept in growth.json, where a line that is run again takes the old one's place."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .point import Measured

NUMBERS = tuple(each.name for each in fields(Measured) if each.name != "more")


@dataclass(frozen=True)
class Result:
    """The medians of a line's rounds, by point, and when and on what they were taken."""

    points: Mapping[int, Measured]
    run: Mapping[str, Any]

    @property
    def places(self) -> list[int]:
        return sorted(self.points)

    def heights(self, name: str) -> list[float]:
        return [getattr(self.points[place], name) for place in self.places]


def middle(rounds: Sequence[Measured]) -> Measured:
    """The median of each number by itself."""
    more = {name: statistics.median(each.more[name] for each in rounds) for name in rounds[0].more}
    numbers = {name: statistics.median(getattr(each, name) for each in rounds) for name in NUMBERS}
    return Measured(**numbers, more=more)


def read(path: Path) -> dict[str, Result]:
    """The lines that were measured; none where there is no file."""
    if not path.exists():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return {name: _result(value) for name, value in content.items()}


def write(path: Path, results: Mapping[str, Result]) -> None:
    content = {name: asdict(result) for name, result in results.items()}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _result(value: Mapping[str, Any]) -> Result:
    return Result({int(place): Measured(**point) for place, point in value["points"].items()}, value["run"])
