"""Our ways to draw a picture: exact, or nearly so for less work. A row of a table each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from benchmark.request import Request

CACHE, CUT, TINY = "deep_cache_interval", "guidance_until", "tiny_decoder"
PRECISIONS = {"bf16": "BF16", "f16": "FP16"}  # beside f32: what the processor must be able to do


@dataclass(frozen=True)
class Way:
    """`variant` is what was made of the model, "" for the model as it is; the rest is how its picture is asked for.

    `steps` is a share of the exact picture's. `to` is the refiner that takes over, and when.
    """

    name: str
    kind: str  # by which it is coloured
    precision: str = "f32"
    variant: str = ""
    acceleration: dict[str, Any] = field(default_factory=dict)
    steps: float = 1.0
    to: tuple[str, float] | None = None

    def request(self, exact: Request) -> Request:
        model = f"{exact.model}-{self.variant}" if self.variant else exact.model
        steps = max(1, round(self.steps * exact.steps))
        return replace(exact, model=model, steps=steps, acceleration=self.acceleration or None, refiner=self.to)


EXACT = Way("exact, f32", "precision")
ANY = (
    EXACT,
    *(Way(name, "precision", precision=name) for name in PRECISIONS),
    Way("INT8 UNet", "INT8", variant="int8"),
    Way("INT8 UNet and VAE", "INT8", variant="int8-vae"),
    Way("tiny decoder", "tiny decoder", acceleration={TINY: True}),
    Way("INT8, tiny decoder", "together", variant="int8", acceleration={TINY: True}),
)
MANY = (  # of pictures of many steps, with guidance
    *ANY,
    *(Way(f"DeepCache, every {n}", "DeepCache", acceleration={CACHE: n}) for n in (2, 3, 5)),
    Way("guidance for 1/2", "guidance cut-off", acceleration={CUT: 0.5}),
    Way("guidance for 1/4", "guidance cut-off", acceleration={CUT: 0.25}),
    *(Way(f"{share:.0%} of the steps", "fewer steps", steps=share) for share in (0.8, 0.6, 0.4, 0.2)),
    Way("INT8, DeepCache 2", "together", variant="int8", acceleration={CACHE: 2}),
    Way("INT8, DeepCache 3, guidance 1/2", "together", variant="int8", acceleration={CACHE: 3, CUT: 0.5}),
    Way("all of it, tiny decoder", "together", variant="int8", acceleration={CACHE: 3, CUT: 0.5, TINY: True}),
)
FEW = (  # of pictures of few steps, without guidance
    *ANY,
    *(Way(f"{share:.0%} of the steps", "fewer steps", steps=share) for share in (0.75, 0.5, 0.25)),
)
HANDOFF = (
    Way("Vega for the last half", "handoff", to=("demo-vega", 0.5)),
    Way("Vega for the last fifth", "handoff", to=("demo-vega", 0.8)),
)
