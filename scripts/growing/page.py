"""The lines as a page of Markdown: how each cost grows, whether straight, and the points that say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmark.machine import busy

from .costs import COSTS, Cost, verdict
from .lines import LINES, Line
from .results import Result
from .straight import POINTS, fit

HEAD = """\
# How cost grows

`scripts/growth` starts a server of the demo models for each point, in a process of its own, and puts it under load from
another process over loopback. Points take turns, and each is the median of its rounds.

- A step is one denoising step of one picture: the seconds of all that was done, over the steps that were drawn. Of
  these, the UNet's own and other networks' (VAE, text) are what OpenVINO says that its inferences took.
- Lag is how long a call from another thread waits for the event loop; one is made every 5 ms.
- Memory is the most that the server's process had (PSS).
- A line is called straight where no point is further than 20 % of its height from `base + each * n`.

![how cost grows](growth.png)
"""


def page(results: Mapping[str, Result]) -> str:
    parts = [section(name, results[name]) for name in LINES if name in results]
    return "\n".join([HEAD, *parts])


def section(name: str, result: Result) -> str:
    line = LINES[name]
    parts = [f"## {line.title.capitalize()}\n", line.says + "\n", _run(result), growth(name, line, result)]
    return "\n".join([*parts, points(line, result)])


def growth(name: str, line: Line, result: Result) -> str:
    """A row for each cost: what it is for none, what one more adds, and whether that is all."""
    if len(result.points) < POINTS:
        return "Too few points for a line.\n"
    rows = []
    for cost, told in COSTS.items():
        found = fit([line.place(point) for point in result.places], result.heights(cost))
        base, each = (_number(told, value) for value in (found.base, found.each * line.per))
        rows.append(
            (told.title, base, each, f"{100 * found.off:.0f} %", verdict(name, cost, found, result.run["when"]))
        )
    return _table(("cost", "base", f"each {line.unit}", "furthest point", ""), rows)


def points(line: Line, result: Result) -> str:
    head = [line.axis, "step", "the UNet's own", "other networks", "no inference", "lag p99", "lag, most", "memory"]
    rows = [
        (
            str(point),
            *(f"{1e3 * value:.2f} ms" for value in (each.step, each.unet, each.other, each.rest)),
            *(f"{1e3 * value:.1f} ms" for value in (each.lag_p99, each.lag_most)),
            f"{each.memory / 1e6:.0f} MB",
            *(f"{1e3 * each.more[name]:.1f} ms" for name in line.more),
        )
        for point, each in sorted(result.points.items())
    ]
    return _table([*head, *line.more], rows)


def _run(result: Result) -> str:
    run = result.run
    return (
        f"{run['processor']}, {run['cores']} cores, {run['memory']} GiB; {run['when']} UTC, commit {run['commit']}, "
        f"{run['rounds']} rounds, {run['seconds']} s; load before {run['load']}, after {run['after']}{busy(run)}.\n"
    )


def _number(cost: Cost, value: float) -> str:
    return f"{cost.scale * value:.{cost.digits}f} {cost.unit}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
