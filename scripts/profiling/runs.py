"""Compiles graphs as they are served, and runs them in turns with OpenVINO's counters on."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import openvino as ov
from safelight_server.models.device import Device

from . import kinds

Inputs = Mapping[str, np.ndarray[Any, Any]]


class Taken(NamedTuple):
    """Seconds of one inference: in all, of the cores, and by OpenVINO's counters, each with its name and type."""

    wall: float
    cores: float
    by_key: Mapping[tuple[str, str], float]

    @property
    def by_kind(self) -> dict[str, float]:
        found = dict.fromkeys(kinds.KINDS, 0.0)
        for (name, type), seconds in self.by_key.items():
            found[kinds.kind(type, name)] += seconds
        return found

    @property
    def by_name(self) -> dict[str, float]:
        return {name: seconds for (name, _), seconds in self.by_key.items()}


class Network:
    """A compiled graph, its inputs, and what it took so far."""

    def __init__(self, graph: Any, given: Inputs | np.ndarray[Any, Any], device: Device, repeats: int = 1) -> None:
        settings = device.settings() | {"PERF_COUNT": True}
        self._given = given if isinstance(given, Mapping) else [given]
        self._request = ov.Core().compile_model(graph, device.name, settings).create_infer_request()
        self._repeats = repeats
        self._taken: list[Taken] = []
        self._sums: dict[tuple[str, str], float] = {}

    def turn(self) -> None:
        for _ in range(self._repeats):
            self._run()

    def _run(self) -> None:
        began, cores = time.perf_counter(), time.process_time()
        self._request.start_async(self._given, share_inputs=True)
        self._request.wait()
        wall, cores = time.perf_counter() - began, time.process_time() - cores
        self._taken.append(Taken(wall, cores, self._counted()))

    def _counted(self) -> dict[tuple[str, str], float]:
        """Seconds of the last run by name and type. The counters give the mean of all runs so far, in microseconds."""
        runs = len(self._taken) + 1
        sums = {
            (counter.node_name, counter.node_type): counter.real_time.total_seconds() * runs
            for counter in self._request.get_profiling_info()
            if counter.status == counter.Status.EXECUTED
        }
        before, self._sums = self._sums, sums
        return {key: max(0.0, total - before.get(key, 0.0)) for key, total in sums.items()}

    def least(self) -> Taken:
        """The least that anything took, each operation by itself, of all runs but the first, which packs the weights.

        What else the machine does makes an operation longer, never shorter.
        """
        counted = self._taken[1:]
        by_key = {key: min(one.by_key.get(key, math.inf) for one in counted) for key in counted[0].by_key}
        return Taken(min(one.wall for one in counted), min(one.cores for one in counted), by_key)


def in_turns(networks: Sequence[Network], rounds: int) -> None:
    """Each once a round, and each round begins with another."""
    for done in range(rounds + 1):
        turn = done % len(networks)
        for network in (*networks[turn:], *networks[:turn]):
            network.turn()
