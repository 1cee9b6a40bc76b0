"""What a scheduler_config.json, a name and a request make of a sampler's settings; what is refused, by name."""

from __future__ import annotations

import inspect
import json
import pickle

import numpy as np
import pytest
from safelight_server.samplers.scheduler_classes import DEFAULTS
from safelight_server.samplers.table import check_config, make_schedule, name_of, schedulers_for
from support.sampler_cases import BETAS, class_of
from support.scheduler_configs import PLAYGROUND, SDXL, VEGA_RT, ZERO_SNR, Config

pytestmark = [  # diffusers' own
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]


@pytest.mark.parametrize("scheduler", DEFAULTS)
def test_defaults_are_those_of_diffusers(scheduler: str) -> None:
    parameters = inspect.signature(class_of(scheduler)).parameters
    assert DEFAULTS[scheduler] == {name: parameter.default for name, parameter in parameters.items()}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "euler"),
        ({"use_karras_sigmas": True}, "euler"),
        ({"_class_name": "EulerAncestralDiscreteScheduler"}, "euler_ancestral"),
        ({"_class_name": "DPMSolverMultistepScheduler"}, "dpmpp_2m"),
        ({"_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": None}, "dpmpp_2m"),
        ({"_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": True}, "dpmpp_2m_karras"),
        ({"_class_name": "DDIMScheduler", "eta": 1.0}, "ddim"),
        ({"_class_name": "DPMSolverMultistepScheduler", "use_exponential_sigmas": True}, "dpmpp_2m_exponential"),
        ({"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++"}, "dpmpp_2m_sde"),
        ({**VEGA_RT, "_class_name": "TCDScheduler"}, "tcd"),
        (VEGA_RT, "lcm"),
        ({"_class_name": "DPMSolverMultistepScheduler", "use_lu_lambdas": True}, "dpmpp_2m"),
        ({"_class_name": "DPMSolverMultistepScheduler", "use_beta_sigmas": True}, "dpmpp_2m_beta"),
        ({"_class_name": "DPMSolverMultistepScheduler", "solver_type": "bh2"}, "dpmpp_2m"),
        ({"_class_name": "DPMSolverSinglestepScheduler"}, "dpmpp_2s"),
        ({"_class_name": "DPMSolverSDEScheduler", "use_karras_sigmas": True}, "dpmpp_sde_karras"),
        ({"_class_name": "UniPCMultistepScheduler", "solver_type": "bh1"}, "unipc"),
        ({"_class_name": "DEISMultistepScheduler", "algorithm_type": "dpmsolver++"}, "deis"),
        ({"_class_name": "HeunDiscreteScheduler"}, "heun"),
        ({"_class_name": "KDPM2DiscreteScheduler", "timestep_spacing": "trailing"}, "kdpm2"),
        ({"_class_name": "KDPM2AncestralDiscreteScheduler"}, "kdpm2_ancestral"),
        ({"_class_name": "LMSDiscreteScheduler", "use_exponential_sigmas": True}, "lms_exponential"),
        ({"_class_name": "PNDMScheduler"}, "pndm"),
        ({"_class_name": "DDPMScheduler"}, "ddpm"),
        ({"_class_name": "EDMEulerScheduler"}, "edm_euler"),
        (PLAYGROUND, "edm_dpmpp_2m"),
        ({**PLAYGROUND, "algorithm_type": "sde-dpmsolver++"}, "edm_dpmpp_2m_sde"),
    ],
)
def test_a_file_s_class_has_a_name(changes: Config, name: str) -> None:
    config = json.loads(json.dumps({**SDXL, **changes}))
    check_config(config)
    assert name_of(config) == name


KARRAS_FILE = {**SDXL, "_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": True}


@pytest.mark.parametrize(
    ("name", "config", "options", "same_as"),
    [
        ("dpmpp_2m", KARRAS_FILE, {}, ("dpmpp_2m", SDXL, {})),
        ("dpmpp_2m_karras", SDXL, {}, ("dpmpp_2m", SDXL, {"use_karras_sigmas": True})),
        ("euler", SDXL, {"use_karras_sigmas": True}, ("euler", KARRAS_FILE, {})),
        ("euler", SDXL, {"timestep_spacing": "trailing"}, ("euler", {**SDXL, "timestep_spacing": "trailing"}, {})),
        ("ddim", {**SDXL, "eta": 1.0}, {}, ("ddim", SDXL, {"eta": 0.0})),
        ("euler_ancestral", SDXL, {"use_karras_sigmas": False, "eta": 0.0}, ("euler_ancestral", SDXL, {})),
    ],
)
def test_what_wins(name: str, config: Config, options: Config, same_as: tuple[str, Config, Config]) -> None:
    other, its_config, its_options = same_as
    got, want = make_schedule(name, config, 5, **options), make_schedule(other, its_config, 5, **its_options)
    assert (got.moves, got.levels) == (want.moves, want.levels)


def test_a_run_that_would_be_a_step_too_long_is_not() -> None:
    """For 62 of 1000 counts, diffusers' trailing timesteps end with one more: -1, which no network has seen."""
    for steps in (61, 103, 999):
        for name in ("euler", "dpmpp_2m", "ddim"):
            schedule = make_schedule(name, SDXL, steps, timestep_spacing="trailing")
            assert len(schedule) == steps
            assert schedule.timesteps.min() >= 0


def test_a_schedule_is_a_value() -> None:
    schedule = make_schedule("ddim", SDXL, 4, eta=0.5)
    again = pickle.loads(pickle.dumps(schedule))
    assert again.moves == schedule.moves
    np.testing.assert_array_equal(again.timesteps, schedule.timesteps)
    with pytest.raises(ValueError, match="read-only"):
        schedule.timesteps[0] = 0


DPM = {"_class_name": "DPMSolverMultistepScheduler"}
UNIPC = {"_class_name": "UniPCMultistepScheduler"}
EDM = {"_class_name": "EDMEulerScheduler"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"_class_name": "IPNDMScheduler"},
            "_class_name must be one of EulerDiscreteScheduler, .*not 'IPNDMScheduler'",
        ),
        ({"_class_name": None}, "_class_name must be one of .*not None"),
        ({"use_exponential_sigmas": 2}, "use_exponential_sigmas must be True or False or None .*not 2"),
        ({"use_exponential_sigmas": True, "use_karras_sigmas": True}, "use_karras_sigmas must be False where"),
        ({"use_exponential_sigmas": True, "use_beta_sigmas": True}, "use_exponential_sigmas must be False where"),
        ({"use_beta_sigmas": 1.5}, "use_beta_sigmas must"),
        ({**DPM, "use_flow_sigmas": True}, "use_flow_sigmas must"),
        ({**DPM, "use_dynamic_shifting": True}, "use_dynamic_shifting must"),
        ({**DPM, "thresholding": True}, "thresholding must"),
        ({**VEGA_RT, "thresholding": True}, "thresholding must"),
        ({**DPM, "algorithm_type": "dpmsolver"}, r"algorithm_type must be 'dpmsolver\+\+' .*not 'dpmsolver'"),
        ({**DPM, "solver_order": 4}, "solver_order must be 1 or 2 or 3 .*not 4"),
        (
            {**DPM, "algorithm_type": "sde-dpmsolver++", "solver_order": 3},
            "solver_order must be 1 or 2 where algorithm_type is 'sde-dpmsolver..', not 3",
        ),
        ({**DPM, "solver_type": "bh3"}, "solver_type must"),
        ({**DPM, "variance_type": "learned_range"}, "variance_type must"),
        ({**UNIPC, "predict_x0": False}, "predict_x0 must be True .*not False"),
        ({**UNIPC, "solver_p": {}}, "solver_p must be None"),
        ({**UNIPC, "disable_corrector": 1}, "disable_corrector must be a list of integers, not 1"),
        ({**UNIPC, "disable_corrector": [True]}, "disable_corrector must be a list of integers"),
        ({"_class_name": "DPMSolverSinglestepScheduler", "algorithm_type": "sde-dpmsolver++"}, "algorithm_type must"),
        ({"_class_name": "DPMSolverSDEScheduler", "noise_sampler_seed": 3}, "noise_sampler_seed must be None"),
        (
            {"_class_name": "DEISMultistepScheduler", "algorithm_type": "sde-dpmsolver++"},
            "algorithm_type must be 'deis'",
        ),
        ({"_class_name": "PNDMScheduler", "skip_prk_steps": False}, "skip_prk_steps must be True .*not False"),
        ({"_class_name": "DDPMScheduler", "variance_type": "learned"}, "variance_type must"),
        ({"_class_name": "HeunDiscreteScheduler", "beta_schedule": "exp"}, "beta_schedule must"),
        ({**EDM, "sigma_schedule": "linear"}, "sigma_schedule must be 'karras' or 'exponential'"),
        ({**EDM, "sigma_min": 90.0}, "sigma_min must be below sigma_max .80., not 90"),
        ({**EDM, "rho": 0}, "rho must be a number in"),
        ({**DPM, "prediction_type": "flow_prediction"}, "prediction_type must"),
        ({**DPM, "sigma_min": -1.0}, "sigma_min must be a number"),
        ({"_class_name": "EulerAncestralDiscreteScheduler", "prediction_type": "sample"}, "prediction_type must"),
        ({"beta_schedule": "sigmoid"}, "beta_schedule must .*not 'sigmoid'"),
        ({"timestep_spacing": None}, "timestep_spacing must .*not None"),
        ({"interpolation_type": "cubic"}, "interpolation_type must"),
        ({"timestep_type": "odd"}, "timestep_type must"),
        ({"final_sigmas_type": "one"}, "final_sigmas_type must"),
        ({"use_karras_sigmas": "yes"}, "use_karras_sigmas must"),
        ({"num_train_timesteps": 1000.0}, "num_train_timesteps must be an integer in .*not 1000.0"),
        ({"num_train_timesteps": True}, "num_train_timesteps must be an integer"),
        ({"beta_start": "0.1"}, "beta_start must be a number in .*not '0.1'"),
        ({"beta_end": 1.5}, "beta_end must be a number"),
        ({"beta_start": None}, "beta_start must be a number in .*not None"),
        ({"steps_offset": -1}, "steps_offset must be an integer"),
        ({"trained_betas": [0.1, 0.2]}, r"trained_betas must be a list of num_train_timesteps \(1000\) numbers, not 2"),
        ({"trained_betas": "x"}, "trained_betas must"),
        ({"trained_betas": [*BETAS[1:], 1.0]}, r"trained_betas\[999\] must be a number"),
        ({"beta_schedule": "linear", "beta_end": 0.9}, "beta_end, or trained_betas, must leave some of the signal"),
        ({**DPM, "lambda_min_clipped": 3.0}, "lambda_min_clipped must be a number"),
        ({**VEGA_RT, "original_inference_steps": 2000}, "original_inference_steps must be at most"),
        ({**VEGA_RT, "original_inference_steps": 0}, "original_inference_steps must be an integer"),
    ],
)
def test_what_we_do_not_do_is_refused_by_name(changes: Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_config({**SDXL, **changes})


@pytest.mark.parametrize("own", [SDXL, VEGA_RT, PLAYGROUND, {**SDXL, "_class_name": "UniPCMultistepScheduler"}])
def test_a_model_can_be_asked_for_each_scheduler_of_its_kind(own: Config) -> None:
    names = schedulers_for(own)
    assert name_of(own) in names
    for name in names:
        assert len(make_schedule(name, own, 4).starts) == 4


@pytest.mark.parametrize(
    ("name", "changes", "steps", "options", "message"),
    [
        ("ipndm", {}, 4, {}, "scheduler must be one of euler, .*not 'ipndm'"),
        ("edm_euler", {}, 4, {}, "scheduler must be other than EDM's for a model whose own is EulerDiscreteScheduler"),
        (
            "euler",
            PLAYGROUND,
            4,
            {},
            "scheduler must be an EDM scheduler .* whose own is EDMDPMSolverMultistepScheduler",
        ),
        ("dpmpp_2s", {}, 4, {"timestep_spacing": "trailing"}, "timestep_spacing must be left out for dpmpp_2s"),
        ("euler", {}, 0, {}, "steps must be in 1..1000, not 0"),
        ("euler", {}, 1001, {}, "steps must be in 1..1000, not 1001"),
        ("lcm", {}, 51, {}, r"steps must be at most original_inference_steps \(50\), not 51"),
        ("ddim", {}, 1000, {}, "steps must be fewer than 1000 with steps_offset 1"),
        ("dpmpp_2m", {}, 1000, {}, "steps must be few enough .*not 1000"),
        ("ddim", {}, 4, {"eta": 1.5}, "eta must be a number in 0..1, not 1.5"),
        ("euler", {}, 4, {"eta": 0.5}, "eta must be left out for euler, not 0.5"),
        ("ddim", {}, 4, {"use_karras_sigmas": True}, "use_karras_sigmas must be left out for ddim"),
        ("euler", {}, 4, {"timestep_spacing": "odd"}, "timestep_spacing must be 'leading' or .*not 'odd'"),
        ("euler", {"sigma_min": 20.0}, 4, {"use_karras_sigmas": True}, "sigma_min must be below sigma_max .*not 20"),
        ("ddim", {**ZERO_SNR, "prediction_type": "epsilon"}, 4, {}, "prediction_type must be 'v_prediction'"),
        ("euler_ancestral", {"prediction_type": "sample"}, 4, {}, "prediction_type must be .*not 'sample'"),
    ],
)
def test_bad_runs_are_refused_by_name(name: str, changes: Config, steps: int, options: Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_schedule(name, {**SDXL, **changes}, steps, **options)
