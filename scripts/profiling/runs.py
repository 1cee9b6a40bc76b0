"""Compiles graphs as they are served, and runs them in turns with OpenVINO's counters on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import openvino as ov
from safelight_server.models.device import Device

from . import kinds

Inputs = Mapping[str, np.ndarray[Any, Any]]


class Taken(NamedTuple):
    """Seconds of one inference: in all, of the processor's cores, and by OpenVINO's counters."""

    wall: float
    cores: float
    by_kind: Mapping[str, float]
    by_name: Mapping[str, float]


class Network:
    """A compiled graph, its inputs, and what it took so far."""

    def __init__(self, graph: Any, given: Inputs | np.ndarray[Any, Any], device: Device, repeats: int = 1) -> None:
        settings = device.settings() | {"PERF_COUNT": True}
        self._given = given if isinstance(given, Mapping) else [given]
        self._request = ov.Core().compile_model(graph, device.name, settings).create_infer_request()
        self._repeats = repeats
        self._taken: list[Taken] = []

    def turn(self) -> None:
        for _ in range(self._repeats):
            self._run()

    def _run(self) -> None:
        began, cores = time.perf_counter(), time.process_time()
        self._request.start_async(self._given, share_inputs=True)
        self._request.wait()
        wall, cores = time.perf_counter() - began, time.process_time() - cores
        by_kind: Counter[str] = Counter()
        by_name: dict[str, float] = {}
        for counter in self._request.get_profiling_info():
            if counter.status == counter.Status.EXECUTED:
                seconds = counter.real_time.total_seconds()
                by_kind[kinds.kind(counter.node_type, counter.node_name)] += seconds
                by_name[counter.node_name] = seconds
        self._taken.append(Taken(wall, cores, by_kind, by_name))

    def middle(self) -> Taken:
        """The run that took the median time, of all but the first, which packs the weights.

        The least would do a short probe a favour: beside other work it finds a moment to itself, a long run does not.
        """
        counted = sorted(self._taken[1:], key=lambda one: one.wall)
        return counted[len(counted) // 2]


def in_turns(networks: Sequence[Network], rounds: int) -> None:
    """Each once a round, and each round begins with another."""
    for done in range(rounds + 1):
        turn = done % len(networks)
        for network in (*networks[turn:], *networks[:turn]):
            network.turn()
