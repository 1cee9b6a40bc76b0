"""The exact pictures that ways are held against: which model, its variants, and the ways that fit it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from benchmark.cases import DEMO_SCHEDULER
from benchmark.request import Request

from .ways import FEW, HANDOFF, MANY, PRECISIONS, Way


@dataclass(frozen=True)
class Case:
    """`variants` are those that are there or can be made; `others` are models that take pictures over."""

    exact: Request
    ways: Sequence[Way]
    variants: Collection[str]
    pictures: int  # that are held against the exact ones
    rounds: int
    says: str
    others: tuple[str, ...] = ()

    def possible(self, capabilities: Collection[str]) -> list[Way]:
        """Those ways for which there is a model, on a processor that can do these (OpenVINO's words)."""
        able = {"f32", *(name for name, wanted in PRECISIONS.items() if wanted in capabilities)}
        return [way for way in self.ways if way.variant in ("", *self.variants) and way.precision in able]


CASES = {
    "demo-xl": Case(
        Request("demo-xl", 128, 25, 2.0, scheduler=DEMO_SCHEDULER),
        (*MANY, *HANDOFF),
        ("int8", "int8-vae"),
        pictures=4,
        rounds=5,
        says="demo-xl at its own defaults: 128 px, 25 steps, guidance 2.",
        others=("demo-vega",),
    ),
    "demo-vega": Case(
        Request("demo-vega", 128, 4, scheduler=DEMO_SCHEDULER),
        FEW,
        (),
        pictures=4,
        rounds=5,
        says="demo-vega: 128 px, 4 steps. Its UNet is INT8 as it ships, so that the exact picture is one of INT8.",
    ),
    "vegart-256": Case(
        Request("vegart", 256, 4),
        FEW,
        ("int8",),
        pictures=2,
        rounds=3,
        says="VegaRT's shape (a UNet of 745 M), random weights: 256 px, 4 steps. Its tiny decoder is random, too.",
    ),
}
FULL_SIZE = ("vegart-256",)
