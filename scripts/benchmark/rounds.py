"""Times several ways in turns: each once in every round, so that what slows the machine for a while slows all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from tqdm import tqdm

Measured = TypeVar("Measured")
Way = Callable[[int], Measured]  # takes the number of the round

SETTLE = 0.05  # seconds between two ways: the threads of the last one still spin for a moment


def interleave(
    ways: Mapping[str, Way[Measured]], rounds: int, label: str, *, warm: int = 1, settle: float = SETTLE
) -> dict[str, list[Measured]]:
    """The result of every way in each of `rounds` rounds. `warm` rounds before them do not count.

    Each round begins with another way (ABC, BCA, CAB): else a way would always run after the same other one, whose
    traces (caches, clocks) it would find.
    """
    names = list(ways)
    measured: dict[str, list[Measured]] = {name: [] for name in names}
    with tqdm(total=(warm + rounds) * len(ways), desc=label, unit="run", leave=False, disable=None) as bar:
        for number in range(warm + rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                bar.set_postfix_str(name)
                result = ways[name](number)
                if number >= warm:
                    measured[name].append(result)
                bar.update()
                time.sleep(settle)
    return measured
