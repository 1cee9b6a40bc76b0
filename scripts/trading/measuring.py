"""Draws a case in all its ways: nearness first, of some pictures; then seconds, all ways in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import openvino as ov
from benchmark import build
from benchmark.checks import decibels
from benchmark.figures import summaries
from benchmark.folders import DEMO
from benchmark.ours import Ours
from benchmark.request import Request
from benchmark.rounds import interleave
from benchmark.server import Server
from benchmark.summary import median

from .cases import FULL_SIZE, Case
from .front import NEAREST, Point
from .variants import variant
from .ways import EXACT, Way


def measure(name: str, case: Case, cache: Path, rounds: int | None = None) -> list[Point]:
    """A point for each way that this processor can take, in the order of the table."""
    ways = case.possible(ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    models = folders(name, case, cache)
    with ExitStack() as running:
        servers = {
            precision: running.enter_context(closing(_server(models, precision, cache)))
            for precision in dict.fromkeys(way.precision for way in ways)
        }
        near = nearness(servers, ways, case)
        times = {way.name: partial(_draw, servers[way.precision], way.request(case.exact)) for way in ways}
        samples = summaries(interleave(times, rounds or case.rounds, name))
    return [
        Point(way.name, way.kind, samples[way.name].median, samples[way.name].spread, *near[way.name]) for way in ways
    ]


def folders(name: str, case: Case, cache: Path) -> dict[str, Path]:
    """The folders of the case's models; what is not there is made."""
    model = case.exact.model
    if name in FULL_SIZE:
        built = [model, *(f"{model}-{each}" for each in case.variants)]
        build.ensure(built, cache / "models")
        return {each: cache / "models" / each for each in built}
    found = {each: DEMO / each for each in (model, *case.others)}
    cache.mkdir(parents=True, exist_ok=True)
    return found | {f"{model}-{each}": variant(DEMO / model, each, cache) for each in case.variants}


def nearness(servers: Mapping[str, Ours], ways: Sequence[Way], case: Case) -> dict[str, tuple[float, float]]:
    """The median and the least dB of each way's pictures."""
    prompts = [case.exact.numbered(number) for number in range(case.pictures)]
    exact = servers[EXACT.precision].pictures(prompts)
    found = {}
    for way in ways:
        pictures = servers[way.precision].pictures([way.request(one) for one in prompts])
        far = [min(NEAREST, decibels(*both)) for both in zip(exact, pictures, strict=True)]
        found[way.name] = median(far), min(far)
    return found


def _server(models: Mapping[str, Path], precision: str, cache: Path) -> Ours:
    log = cache / f"pareto-{precision}.log"
    return Ours(Server(models, log, "--ephemeral", f"--precision={precision}"))


def _draw(server: Ours, request: Request, number: int) -> float:
    return server.draw(request.numbered(number))
