"""The requests of the rows: to the demo models, and to a model of VegaRT's shape at two sizes."""

from __future__ import annotations

from dataclasses import dataclass

from .request import Request

# openvino-genai's LCM scheduler crashes on v-prediction, which the demo models are trained for: Euler, then, for all.
DEMO_SCHEDULER = "euler"
INT8 = ("demo-vega", "vegart-int8")  # whose UNets are quantized
# The job after a cancelled one. It is on another model than that, and its first step takes some milliseconds.
PROBE = Request("demo-vega", 64, 1, scheduler=DEMO_SCHEDULER)


@dataclass(frozen=True)
class Case:
    """`short`: a few steps, no guidance; `long`: many, with it; `quick`: the cheapest of all, with INT8.

    `heavy` has steps of a tenth of a second at least: what is cancelled in its middle.
    """

    name: str
    short: Request
    long: Request
    quick: Request
    heavy: Request
    rounds: int

    @property
    def pair(self) -> tuple[Request, Request]:
        """A picture from each of two models that have their encoders and VAE in common."""
        return self.long, self.quick

    @property
    def models(self) -> tuple[str, ...]:
        """The names of all models, each once."""
        return tuple(dict.fromkeys(request.model for request in (self.short, self.long, self.quick, PROBE)))


def _demo() -> Case:
    short = Request("demo-vega", 128, 4, scheduler=DEMO_SCHEDULER)
    long = Request("demo-xl", 128, 20, 5.0, scheduler=DEMO_SCHEDULER)
    heavy = Request("demo-xl", 1024, 4, scheduler=DEMO_SCHEDULER)
    return Case("demo", short, long, short, heavy, rounds=20)


def _vegart(edge: int, rounds: int) -> Case:
    short, long = Request("vegart", edge, 4), Request("vega-euler", edge, 20, 5.0)
    return Case(f"vegart-{edge}", short, long, Request("vegart-int8", edge, 4), short, rounds)


CASES = {case.name: case for case in (_demo(), _vegart(256, 7), _vegart(512, 5))}
