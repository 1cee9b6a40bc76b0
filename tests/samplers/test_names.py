"""safelight_server.samplers.names: the names that schedulers have elsewhere."""

from __future__ import annotations

import pytest
from safelight_server.samplers.names import canonical
from safelight_server.samplers.scheduler_classes import DEFAULTS
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
        ("DPM++ SDE Karras", "dpmpp_sde_karras"),
        ("DPM++ 2M SDE Exponential", "dpmpp_2m_sde_exponential"),
        ("DPM++ 2M Beta", "dpmpp_2m_beta"),
        ("Heun", "heun"),
        ("sample_heun", "heun"),
        ("UniPC", "unipc"),
        ("uni_pc", "unipc"),
        ("DEIS", "deis"),
        ("LMS Karras", "lms_karras"),
        ("DPM2", "kdpm2"),
        ("k_dpm_2", "kdpm2"),
        ("DPM2 a Karras", "kdpm2_ancestral_karras"),
        ("k_dpm_2_ancestral", "kdpm2_ancestral"),
        ("KDPM2AncestralDiscreteScheduler", "kdpm2_ancestral"),
        ("PLMS", "pndm"),
        ("Euler SGM Uniform", "euler_sgm_uniform"),
        ("ddim sgm_uniform", "ddim_sgm_uniform"),
        ("EDMDPMSolverMultistepScheduler", "edm_dpmpp_2m"),
        ("no such one", "no such one"),
        ("no such karras", "no such karras"),
    ],
)
def test_names_from_elsewhere_are_known(name: str, ours: str) -> None:
    assert canonical(name) == ours


@pytest.mark.parametrize("scheduler", DEFAULTS)
def test_each_class_of_diffusers_is_known(scheduler: str) -> None:
    assert SAMPLERS[canonical(scheduler)].scheduler == scheduler


@pytest.mark.parametrize("name", SAMPLERS)
def test_our_own_names_stay(name: str) -> None:
    assert canonical(name) == name
    assert canonical(name.upper()) == name
