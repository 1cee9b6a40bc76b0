"""safelight_server.samplers.names: the names that schedulers have elsewhere."""

from __future__ import annotations

import pytest
from safelight_server.samplers.names import canonical
from safelight_server.samplers.table import SAMPLERS


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("DPM++ 2M Karras", "dpmpp_2m_karras"),
        ("dpm++ 2m sde  karras", "dpmpp_2m_sde_karras"),
        ("Euler a", "euler_ancestral"),
        ("k_euler_a", "euler_ancestral"),
        ("EulerAncestralDiscreteScheduler", "euler_ancestral"),
        ("sample_dpmpp_2m", "dpmpp_2m"),
        ("TCDScheduler", "tcd"),
        ("no such one", "no such one"),
    ],
)
def test_names_from_elsewhere_are_known(name: str, ours: str) -> None:
    assert canonical(name) == ours


@pytest.mark.parametrize("name", SAMPLERS)
def test_our_own_names_stay(name: str) -> None:
    assert canonical(name) == name
    assert canonical(name.upper()) == name
