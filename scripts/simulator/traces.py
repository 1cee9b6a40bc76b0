"""Made-up traffic: jobs of several models, with priorities, previews, deadlines and clients that leave."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from safelight_server.jobs import Priority

Arrivals = Literal["poisson", "bursty"]


class Step(NamedTuple):
    """One inference of a job."""

    lane: int
    seconds: float
    estimate: float  # of `seconds`, which is all that a policy knows
    preview: float  # seconds of the preview that follows it; 0.0: there is none
    graph: str | None  # steps of one graph may be joined; None: never


class Job(NamedTuple):
    order: int
    short: bool
    priority: Priority
    arrival: float
    steps: tuple[Step, ...]
    deadline: float | None
    leaves: float | None  # when its client goes away, unless the picture is there by then

    @property
    def alone(self) -> float:
        """Seconds on idle lanes."""
        return sum(step.seconds for step in self.steps)


class ModelUse(NamedTuple):
    """How jobs use a model: seconds as measured on two cores at 512 px (a forward of SDXL is computed from FLOPs)."""

    name: str
    share: float  # of the jobs
    short: bool
    text: float
    forwards: int
    forward: float
    decode: float
    priorities: tuple[float, float, float]  # shares of interactive, normal, batch
    refined: float = 0.0  # share that hands the last fifth of its forwards over to a refiner on the next lane

    @property
    def work(self) -> float:
        return self.text + self.forwards * self.forward + self.decode


USES = (
    ModelUse("vegart", 0.75, True, 0.36, 4, 1.65, 6.4, (0.5, 0.4, 0.1)),
    ModelUse("vega", 0.15, False, 0.72, 40, 1.65, 6.4, (0.2, 0.5, 0.3)),
    ModelUse("sdxl", 0.10, False, 0.72, 40, 4.0, 6.4, (0.1, 0.5, 0.4), refined=0.2),
)
PREVIEW = 0.085  # seconds: half-size latents through TAESDXL
BURST = 10  # jobs on average


@dataclass(frozen=True)
class Traffic:
    """What a trace is made from. `load`: seconds of work that come in, for each second of all lanes."""

    jobs: int = 5000
    load: float = 0.85
    arrivals: Arrivals = "poisson"
    speeds: tuple[float, ...] = (1.0, 2.0, 4.0)  # of the lanes; every model is served on each, under a name of its own
    previewed: float = 0.5
    deadlines: float = 0.2  # share of jobs
    patience: tuple[float, float] = (1.5, 8.0)  # a deadline is between so many times the job's seconds alone
    leaving: float = 0.05  # share of jobs whose client goes away
    error: float = 0.1  # spread of the logarithm of estimate / seconds
    seed: int = 1

    def trace(self) -> list[Job]:
        """The jobs by arrival, the same for the same values."""
        chance = random.Random(f"{self.seed} {self.arrivals}")
        return [self._job(order, arrival, chance) for order, arrival in enumerate(self._times(chance))]

    def _times(self, chance: random.Random) -> Iterator[float]:
        """Poisson, or bursts of jobs within a few seconds: hyperexponential gaps of the same mean."""
        mean = sum(use.share * use.work for use in USES) / (self.load * sum(self.speeds))
        now = 0.0
        for _ in range(self.jobs):
            gap = chance.expovariate(1.0) * mean
            if self.arrivals == "bursty":
                gap *= BURST * 0.95 if chance.random() < 1 / BURST else 0.05 * BURST / (BURST - 1)
            now += gap
            yield now

    def _job(self, order: int, arrival: float, chance: random.Random) -> Job:
        (use,) = chance.choices(USES, [use.share for use in USES])
        (lane,) = chance.choices(range(len(self.speeds)), self.speeds)
        (priority,) = chance.choices(list(Priority), use.priorities)
        steps = tuple(self._steps(use, lane, chance))
        alone, fate = sum(step.seconds for step in steps), chance.random()
        deadline = arrival + alone * chance.uniform(*self.patience) if fate < self.deadlines else None
        leaves = arrival + alone * chance.uniform(0, 4) if fate > 1 - self.leaving else None
        return Job(order, use.short, priority, arrival, steps, deadline, leaves)

    def _steps(self, use: ModelUse, lane: int, chance: random.Random) -> Iterator[Step]:
        error = math.exp(chance.gauss(0, self.error))
        preview = PREVIEW if chance.random() < self.previewed else 0.0
        handoff = round(use.forwards * 0.8) if chance.random() < use.refined else use.forwards
        yield self._step(lane, use.text, error, 0.0, None)
        for i in range(use.forwards):
            at, graph = (lane, use.name) if i < handoff else ((lane + 1) % len(self.speeds), "refiner")
            yield self._step(at, use.forward, error, preview if i + 1 < use.forwards else 0.0, graph)
        yield self._step(at, use.decode, error, 0.0, None)

    def _step(self, lane: int, work: float, error: float, preview: float, graph: str | None) -> Step:
        speed = self.speeds[lane]
        return Step(lane, work / speed, work * error / speed, preview / speed, graph)
