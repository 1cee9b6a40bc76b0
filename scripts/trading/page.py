"""The points as a page of Markdown, kept by processor and case in pareto.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.machine import busy

from .cases import CASES
from .front import NEAREST, Point, front

HEAD = f"""\
# What seconds buy

`scripts/pareto` draws the same pictures in all our ways, on one server for each precision, over gRPC, and holds each
against the exact picture: in f32, all steps, all layers. Ways take turns, after a round that does not count. Seconds
are the median of a picture; dB is the PSNR to the exact picture, the median of some prompts, {NEAREST:g} at most. A way
is on the front (in bold) where no other is both faster and nearer. What a processor cannot do is left out: bf16, f16.

![seconds against dB](pareto.png)
"""


@dataclass(frozen=True)
class Result:
    points: Sequence[Point]
    run: Mapping[str, Any]


def read(path: Path) -> dict[str, Result]:
    """By case; none where there is no file."""
    if not path.exists():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Result([Point(**point) for point in value["points"]], value["run"]) for name, value in content.items()
    }


def write(path: Path, results: Mapping[str, Result]) -> None:
    content = {
        name: asdict(result) | {"points": [each._asdict() for each in result.points]}
        for name, result in results.items()
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def page(results: Mapping[str, Result]) -> str:
    return "\n".join([HEAD, *(section(name, results[name]) for name in CASES if name in results)])


def section(name: str, result: Result) -> str:
    run = result.run
    told = (
        f"{run['processor']}, {run['cores']} cores, {run['memory']} GiB; {run['when']} UTC, commit {run['commit']}, "
        f"load before {run['load']}, after {run['after']}{busy(run)}.\n"
    )
    return "\n".join([f"## {name}\n", CASES[name].says + "\n", told, table(result.points)])


def table(points: Sequence[Point]) -> str:
    """Fastest first."""
    exact, best = points[0].seconds, front(points)
    lines = [
        (
            f"**{point.name}**" if point in best else point.name,
            f"{1000 * point.seconds:.0f} ms",
            f"{exact / point.seconds:.2f}x",
            f"{point.near:.1f} dB",
            f"{point.worst:.1f} dB",
            f"{100 * point.spread:.0f} %",
        )
        for point in sorted(points, key=lambda point: point.seconds)
    ]
    head = ("way", "a picture", "faster than exact", "near", "worst", "quartiles apart")
    return _table(head, lines)


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines)) + "\n"
