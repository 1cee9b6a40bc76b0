"""The rows of scripts/abuse, the most valuable first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from abusing.finding import Effort, Finding

from . import bombs, connections, failures, fairness, first_step, log_pipe, neighbour, overload, signals, watch


class Row(NamedTuple):
    title: str
    measure: Callable[[Effort], Iterator[Finding]]


ROWS = {
    "failures": Row("a network that fails for one job", failures.measure),
    "neighbour": Row("neighbours in the queue who cancel", neighbour.measure),
    "fairness": Row("a greedy client beside others", fairness.measure),
    "overload": Row("ten times the load, with deadlines", overload.measure),
    "bombs": Row("pictures that are dear to unpack", bombs.measure),
    "log-pipe": Row("a log that nobody reads", log_pipe.measure),
    "watch": Row("a watcher of health who takes nothing", watch.measure),
    "signals": Row("a second SIGTERM, and readers who stand still", signals.measure),
    "connections": Row("more idle connections than files", connections.measure),
    "first-step": Row("a first step that is cancelled", first_step.measure),
}
