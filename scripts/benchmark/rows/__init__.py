"""The ten rows: what each is called, which function measures it, and on which cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from benchmark.cases import Case
from benchmark.figures import Figure
from benchmark.session import Session

from . import acceleration, at_once, cancel, latency, overhead, previews, start

FULL = ("vegart-256", "vegart-512")


class Row(NamedTuple):
    title: str
    measure: Callable[[Session, Case], Iterable[Figure]]
    cases: tuple[str, ...]


ROWS = {
    1: Row("an exact request, over gRPC, to a PNG", latency.measure, ("demo", *FULL)),
    2: Row("few steps: INT8, tiny decoder, cached prompt", acceleration.few_steps, ("demo", "vegart-512")),
    3: Row("20 guided steps: DeepCache, guidance cut-off", acceleration.many_steps, ("demo", "vegart-256")),
    4: Row("one long job and three short ones at once", at_once.mixed, ("demo", "vegart-256")),
    5: Row("time to the first preview", previews.first, ("demo", *FULL)),
    6: Row("cost of a preview at every step", previews.cost, ("demo", *FULL)),
    7: Row("cancel to lane free", cancel.measure, ("demo", *FULL)),
    8: Row("what is no inference, share of UNet time", overhead.measure, ("demo", *FULL)),
    9: Row("8 jobs at once: throughput", at_once.eight, ("demo",)),
    10: Row("start to first picture; memory of two models", start.measure, ("demo", "vegart-256")),
}
