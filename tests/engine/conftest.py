"""The demo models in the test's own process, loaded once: tests that break a model load one of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pytest
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.lanes.lane import Lane
from support.engines import Inferences, load


class Loaded(NamedTuple):
    models: Mapping[str, Pipeline]
    inferences: Inferences


@pytest.fixture(scope="session")
def loaded() -> Loaded:
    """demo-xl and demo-vega in f32 on one lane."""
    inferences = Inferences()
    lane = Lane("CPU", inferences)
    return Loaded({name: load(name, lane) for name in ("demo-xl", "demo-vega")}, inferences)


@pytest.fixture
def models(loaded: Loaded) -> Mapping[str, Pipeline]:
    return loaded.models


@pytest.fixture
def inferences(loaded: Loaded) -> Inferences:
    """What the lane of `models` runs in this test."""
    loaded.inferences.ended.clear()
    return loaded.inferences
