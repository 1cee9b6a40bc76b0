"""A line of the table: a figure, its goal, and the times that it was computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from .summary import Summary, summary

FORMATS = {
    "x": lambda value: f"{value:.3g}x" if abs(value) >= 2 else f"{value:.3f}x",
    "%": lambda value: f"{100 * value:.2f} %",
    "step": lambda value: f"{value:.3f} steps",
    "dB": lambda value: f"{value:.1f} dB",
}


@dataclass(frozen=True)
class Goal:
    """What the figure should be at most, or at least."""

    limit: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def text(self, unit: str) -> str:
        """The goal as the table has it: "≤ 1.01x"."""
        number = {"x": f"{self.limit:g}x", "%": f"{100 * self.limit:g} %", "step": f"{self.limit:g} steps"}[unit]
        return f"{'≥' if self.at_least else '≤'} {number}"


@dataclass(frozen=True)
class Figure:
    """One result of a row. `samples`: seconds, by the way that was timed. A figure with `failed` has no value."""

    row: int
    name: str
    case: str
    unit: str = "x"
    value: float | None = None
    goal: Goal | None = None
    samples: Mapping[str, Summary] = field(default_factory=dict)
    note: str = ""
    checked: str = ""  # which pictures were compared before
    failed: str = ""
    run: Mapping[str, Any] = field(default_factory=dict)  # when, at which commit, under what load

    @property
    def key(self) -> tuple[int, str, str]:
        return self.row, self.case, self.name

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one, or without a value."""
        return None if self.goal is None or self.value is None else self.goal.met(self.value)

    def text(self) -> str:
        """The value as the table has it, or FAILED."""
        return "FAILED" if self.value is None else FORMATS[self.unit](self.value)

    def during(self, run: Mapping[str, Any]) -> Figure:
        return replace(self, run=run)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        goal = Goal(**values["goal"]) if values["goal"] else None
        samples = {
            name: Summary(**{**numbers, "quartiles": tuple(numbers["quartiles"])})
            for name, numbers in values["samples"].items()
        }
        return cls(**{**values, "goal": goal, "samples": samples})


def summaries(times: Mapping[str, Sequence[float]]) -> dict[str, Summary]:
    return {name: summary(values) for name, values in times.items()}
