"""A request for a picture, which all systems get alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # not at run time: the peers import this, and are timed from the start of their process
    from safelight.pictures import Format


@dataclass(frozen=True)
class Request:
    """What to draw. The peers ignore `acceleration` and `refiner`, and take the scheduler from their folder."""

    model: str
    edge: int  # pixels, both ways
    steps: int
    guidance: float = 1.0
    prompt: str = "a red apple on a teal background"
    seed: int = 7
    scheduler: str | None = None
    acceleration: Mapping[str, Any] | None = None
    refiner: tuple[str, float] | None = None  # a model, and the share of the noise that is gone when it takes over
    output: Format = "png"

    def numbered(self, number: int) -> Request:
        """The same with another prompt of the same length and another seed, so that no cache can answer it."""
        return replace(self, prompt=f"{self.prompt}, {number:04d}", seed=self.seed + number)

    def options(self) -> dict[str, Any]:
        """The keyword arguments of Client.generate and Client.stream, except the prompt."""
        options: dict[str, Any] = {
            "model": self.model,
            "width": self.edge,
            "height": self.edge,
            "steps": self.steps,
            "guidance_scale": self.guidance,
            "seed": self.seed,
            "scheduler": self.scheduler,
            "output": self.output,
        }
        if self.refiner:
            from safelight import Refiner

            options["refiner"] = Refiner(*self.refiner)
        if self.acceleration:
            from safelight import Acceleration

            options["acceleration"] = Acceleration(**self.acceleration)
        return options

    def __str__(self) -> str:
        guided = f", guidance {self.guidance:g}" if self.guidance > 1 else ""
        return f"{self.model}, {self.edge} px, {self.steps} steps{guided}"
