"""The figures as a page of Markdown: the rows with their goals, then the times that they were computed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .figures import Figure
from .reasons import reason
from .rows import ROWS

INDEX = """\
# Benchmarks

`scripts/bench` measures Safelight beside its peers, in ten rows. What is fast differs from processor to processor, so
each that it was run on has a page of its own, with a plot beside it. What holds on one need not hold on another.
"""
HEAD = """\
# Benchmarks on one processor

`scripts/bench` runs Safelight (a server of its own, asked over gRPC by the Python client) beside openvino-genai's
`Text2ImagePipeline` and optimum-intel's `OVStableDiffusionXLPipeline`, each called in a process of its own. All read
the same graphs, calculate in the same precision and are given the same seeds. Rounds are interleaved, after one that
does not count, and begin with another way each time; those run before 2026-11-25 01:12 all began with the first. Before
anything is timed, the pictures are held against each other in f32. A figure compares medians.

Where the weights of a model are there (`vegart-256` and `vegart-512`, not INT8), rows 1 to 3 also have diffusers on
torch (f32 and bf16, eager and compiled) and stable-diffusion.cpp (built for this processor; f16 and q8_0), in runs from
2026-11-27 on. Not all of them fit into the memory at once: each is timed alone first, and the fastest then takes turns
with the rest. A row's base is the best of all peers. stable-diffusion.cpp draws another picture of the same seed, for
its noise is its own.

`demo`: the demo models, at 128 px. `vegart-256`, `vegart-512`: VegaRT's shape (a UNet of 745 M), random weights.
"""


def page(machine: Mapping[str, Any], figures: Sequence[Figure]) -> str:
    told = notes(figures, str(machine["processor"]))
    parts = [HEAD, _machine(machine), goals(figures), "## Notes\n", told, checks(figures)]
    return "\n".join([*parts, "## Times\n", times(figures), runs(figures)]).rstrip() + "\n"


def index(pages: Mapping[str, tuple[Mapping[str, Any], Sequence[Figure]]]) -> str:
    """A line for each processor; `pages` has the machine and the figures by the name of the page."""
    lines = []
    for name, (machine, figures) in pages.items():
        met = [figure.met for figure in figures if figure.met is not None]
        days = sorted(figure.run["when"][:10] for figure in figures if figure.run) or [""]
        said = (f"{machine['cores']}", machine["precision"], f"{len({figure.key[:2] for figure in figures})}")
        plot = f"[page](bench/{name}.md), [plot](bench/{name}.png)"
        lines.append((machine["processor"], *said, f"{sum(met)} of {len(met)}", f"{days[0]} to {days[-1]}", plot))
    head = ("processor", "cores", "calculated in", "rows and cases", "goals met", "measured", "")
    return "\n".join([INDEX, _table(head, lines)])


def goals(figures: Iterable[Figure]) -> str:
    """A line for each figure."""
    lines = [
        (
            str(figure.row),
            f"{ROWS[figure.row].title}: {figure.name}",
            figure.case,
            figure.text(),
            figure.goal.text(figure.unit) if figure.goal else "",
            {None: "", True: "met", False: "**not met**"}[figure.met],
        )
        for figure in figures
    ]
    return _table(("#", "figure", "case", "measured", "goal", ""), lines)


def times(figures: Iterable[Figure]) -> str:
    """A line for each way that was timed."""
    lines = [
        (
            str(figure.row),
            figure.case,
            way,
            _seconds(taken.median),
            _seconds(taken.least),
            f"{100 * taken.spread:.1f} %",
            str(taken.n),
        )
        for figure in figures
        for way, taken in figure.samples.items()
    ]
    return _table(("#", "case", "way", "median", "least", "quartiles apart", "n"), list(dict.fromkeys(lines)))


def runs(figures: Iterable[Figure]) -> str:
    """When each row was run, on what commit, under what load."""
    lines = [
        (str(figure.row), figure.case, *(str(figure.run[name]) for name in ("when", "commit", "load", "after")))
        for figure in figures
        if figure.run
    ]
    return _table(("#", "case", "when (UTC)", "commit", "load before", "load after"), list(dict.fromkeys(lines)))


def notes(figures: Iterable[Figure], processor: str) -> str:
    """A line for each figure that misses its goal (how far, and why), that failed, or that has a note."""
    lines = []
    for figure in figures:
        missed = f"not met, by {_off(figure)}: {reason(figure, processor)}" if figure.met is False else ""
        if note := "; ".join(filter(None, (missed, figure.failed, figure.note))):
            lines.append(f"- {figure.row}, {figure.case}, {figure.name or 'all of it'}: {note}")
    return "\n".join(lines) + "\n"


def checks(figures: Iterable[Figure]) -> str:
    """Which pictures were compared, each pair once."""
    compared = dict.fromkeys(line for figure in figures for line in figure.checked.split("; ") if line)
    return "Held against Safelight's pictures: " + "; ".join(compared) + ".\n" if compared else ""


def _off(figure: Figure) -> str:
    assert figure.value is not None
    assert figure.goal is not None
    return f"{100 * abs(figure.value / figure.goal.limit - 1):.0f} % of the goal"


def _machine(machine: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory']} GiB, {machine['system']}; "
        f"calculated in {machine['precision']}; Python {machine['python']}, {packages}.\n"
    )


def _seconds(value: float) -> str:
    return f"{1000 * value:.1f} ms" if value < 1 else f"{value:.2f} s"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines)) + "\n"
