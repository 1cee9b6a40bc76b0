"""Which layers stay in floating point: those whose rounding, measured by itself, costs most for the time it saves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openvino as ov

from safelight_server.models.graph_checks import text_outputs

from . import switches
from .switches import Rounding

KEPT = 0.08  # of the graph's work, at most, stays in floating point
NOTHING = 0.0005  # work that is not worth the rounding, as that of layers which run once a picture, on one row
ENOUGH = 0.01  # the relative error from which on nothing more is kept
INFERENCES, MOST = 300, 2  # how many inferences all roundings may take together; and samples, at most
# The edges of latents, by the input's name; larger ones are cut: where a rounding hurts hardly depends on the size.
EDGES = {"sample": 16, "latent_sample": 8}

Sample = Mapping[str, Any]
OnMeasured = Callable[[int, int], None]  # called with how many roundings are measured, and of how many


class Measured(NamedTuple):
    """A rounding, and the relative error of the graph's outputs where it is the only one."""

    rounding: Rounding
    error: float


class Choice(NamedTuple):
    """What was measured, and what stays in floating point."""

    measured: list[Measured]
    kept: list[Measured]
    every: float  # the relative error where all is rounded
    error: float  # where all but `kept` is


def choose(after: Path, before: Path, samples: Sequence[Sample], part: str, on_measured: OnMeasured) -> Choice:
    """Measures each rounding of the quantized graph `after`, which was made from `before`."""
    roundings = _with_work(after, cut(samples[0]))
    graph = ov.Core().read_model(after)
    switches.add(graph, ov.Core().read_model(before))
    used = list(map(cut, samples[: max(1, min(MOST, INFERENCES // max(len(roundings), 1)))]))
    bench = _Bench(graph, used, part, len(roundings))
    measured = []
    for place, rounding in enumerate(roundings):
        measured.append(Measured(rounding, bench.error({place})))
        on_measured(place + 1, len(roundings))
    kept = _kept(measured)
    rest = {place for place, one in enumerate(measured) if one not in kept}
    return Choice(measured, kept, bench.error(set(range(len(roundings)))), bench.error(rest))


def cut(sample: Sample) -> Sample:
    """The sample with the middle of its latents, where they are larger than EDGES."""
    return {name: _middle(value, EDGES[name]) if name in EDGES else value for name, value in sample.items()}


def outputs(graph: Any, part: str) -> list[str]:
    """The names of the outputs that count: those that the server reads."""
    if part.startswith("text_encoder"):
        return list(text_outputs(graph, Path(part, "openvino_model.xml")))
    return [graph.outputs[0].any_name]


def relative(found: Sequence[Sequence[Any]], true: Sequence[Sequence[Any]]) -> float:
    """The root of the mean square relative error, over samples and outputs."""
    errors = [
        float(np.sum((a - b) ** 2.0) / max(float(np.sum(b**2.0)), 1e-30))
        for mine, theirs in zip(found, true, strict=True)
        for a, b in zip(mine, theirs, strict=True)
    ]
    return float(np.sqrt(np.mean(errors)))


def run(graph: Any, samples: Sequence[Sample], part: str) -> list[list[Any]]:
    """The outputs that count of each sample, calculated in f32 where the graph is not in INT8."""
    names = outputs(graph, part)
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [_outputs(compiled, sample, names) for sample in samples]


class _Bench:
    """A graph with switches, compiled, and what it gives with all of them off."""

    def __init__(self, graph: Any, samples: Sequence[Sample], part: str, count: int) -> None:
        self._names, self._samples, self._count = outputs(graph, part), samples, count
        self._compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        self._true = self._run(set())

    def error(self, on: set[int]) -> float:
        return relative(self._run(on), self._true)

    def _run(self, on: set[int]) -> list[list[Any]]:
        state = np.array([place in on for place in range(self._count)], np.float32)
        return [_outputs(self._compiled, {**sample, switches.SWITCHES: state}, self._names) for sample in self._samples]


def _outputs(compiled: Any, sample: Sample, names: Sequence[str]) -> list[Any]:
    result = compiled(dict(sample))
    return [result[name].copy() for name in names]


def _kept(measured: Sequence[Measured]) -> list[Measured]:
    """Those that lose most for the time that they save, within KEPT; and all that save none."""
    kept = [one for one in measured if one.rounding.work < NOTHING]
    work = sum(one.rounding.work for one in kept)
    left = sum(one.error**2 for one in measured if one not in kept)
    for one in sorted(measured, key=lambda one: one.error**2 / max(one.rounding.work, NOTHING), reverse=True):
        if left <= ENOUGH**2:
            break
        if one not in kept and work + one.rounding.work <= KEPT:
            kept.append(one)
            work, left = work + one.rounding.work, left - one.error**2
    return kept


def _with_work(path: Path, sample: Sample) -> list[Rounding]:
    """The roundings of a graph, with their work at the sample's size."""
    graph = ov.Core().read_model(path)
    graph.reshape({name: list(value.shape) for name, value in sample.items()})
    return switches.find(graph)


def _middle(latents: Any, edge: int) -> Any:
    top, left = (max(0, whole - edge) // 2 for whole in latents.shape[2:])
    return np.ascontiguousarray(latents[..., top : top + edge, left : left + edge])
