"""What each sampler is made of: levels, step and settings that make the runs of a scheduler of diffusers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from .moves import Move
from .multistep import deis, dpmpp_2m, dpmpp_2m_sde, lms, pndm
from .noise_levels import (
    NoiseLevels,
    consistency,
    implicit,
    preconditioned,
    probabilistic,
    repeated,
    variance_exploding,
    variance_preserving,
)
from .scheduler_classes import DEFAULTS, Settings
from .singlestep import dpmpp_2s
from .steps import ddim, ddpm, euler, euler_ancestral, lcm, tcd
from .two_stages import (
    dpmpp_sde,
    heun,
    heun_levels,
    kdpm2,
    kdpm2_ancestral,
    kdpm2_ancestral_levels,
    kdpm2_levels,
    sde_levels,
)
from .unipc import unipc

NOTHING: Settings = MappingProxyType({})


class Sampler(NamedTuple):
    """How the runs of one scheduler are made."""

    scheduler: str  # the class of diffusers that makes the same runs
    noise_levels: Callable[[Settings, int], NoiseLevels]  # from the settings and the number of steps
    step: Callable[[Settings, NoiseLevels, int, int], Move]  # settings, levels, the step, the rows of its history
    memory: int = 1  # the most rows that a history has
    uses_noise: Callable[[Settings, NoiseLevels, int], bool] = lambda s, levels, i: False  # whether a step does
    preset: Settings = NOTHING  # the settings that the sampler's name stands for


def _always(s: Settings, levels: NoiseLevels, i: int) -> bool:
    return True


def _but_the_last(s: Settings, levels: NoiseLevels, i: int) -> bool:
    return i < len(levels.before) - 1


SOLVER: Settings = {"algorithm_type": "dpmsolver++"}
SDE: Settings = {"algorithm_type": "sde-dpmsolver++"}

_MULTISTEP = Sampler("DPMSolverMultistepScheduler", partial(variance_preserving, keeps_cosine=True), dpmpp_2m, memory=2)
_UNIPC_LEVELS = partial(variance_preserving, own_end=True)
_EDM = Sampler("EDMDPMSolverMultistepScheduler", preconditioned, dpmpp_2m, memory=2, preset=SOLVER)

# ---- each with the spacings below, of those that its class has ----

BASES: Mapping[str, Sampler] = {
    "euler": Sampler("EulerDiscreteScheduler", variance_exploding, euler),
    "euler_ancestral": Sampler(
        "EulerAncestralDiscreteScheduler", variance_exploding, euler_ancestral, uses_noise=_always
    ),
    "dpmpp_2m": _MULTISTEP._replace(preset=SOLVER),
    "dpmpp_2m_sde": _MULTISTEP._replace(step=dpmpp_2m_sde, memory=1, uses_noise=_always, preset=SDE),
    "dpmpp_sde": Sampler("DPMSolverSDEScheduler", sde_levels, dpmpp_sde, uses_noise=_but_the_last),
    "dpmpp_2s": Sampler("DPMSolverSinglestepScheduler", variance_preserving, dpmpp_2s, memory=3, preset=SOLVER),
    "unipc": Sampler("UniPCMultistepScheduler", _UNIPC_LEVELS, unipc, memory=4),
    "deis": Sampler("DEISMultistepScheduler", _UNIPC_LEVELS, deis, memory=2, preset={"final_sigmas_type": "sigma_min"}),
    "heun": Sampler("HeunDiscreteScheduler", heun_levels, heun),
    "kdpm2": Sampler("KDPM2DiscreteScheduler", kdpm2_levels, kdpm2),
    "kdpm2_ancestral": Sampler(
        "KDPM2AncestralDiscreteScheduler",
        kdpm2_ancestral_levels,
        kdpm2_ancestral,
        uses_noise=lambda s, levels, i: bool(i % 2),
    ),
    "lms": Sampler("LMSDiscreteScheduler", variance_exploding, lms, memory=3),
    "pndm": Sampler("PNDMScheduler", repeated, pndm, memory=3, preset={"skip_prk_steps": True}),
    "ddpm": Sampler(
        "DDPMScheduler", probabilistic, ddpm, uses_noise=lambda s, levels, i: bool(levels.timesteps[i] > 0)
    ),
    "ddim": Sampler(
        "DDIMScheduler", implicit, ddim, uses_noise=lambda s, levels, i: bool(s["eta"] > 0), preset={"eta": 0.0}
    ),
    "lcm": Sampler("LCMScheduler", consistency, lcm, uses_noise=_but_the_last),
    "tcd": Sampler(
        "TCDScheduler",
        consistency,
        tcd,
        uses_noise=lambda s, levels, i: _but_the_last(s, levels, i) and bool(s["eta"] > 0),
        preset={"eta": 0.3},
    ),
    "edm_euler": Sampler("EDMEulerScheduler", preconditioned, euler),
    "edm_dpmpp_2m": _EDM,
    "edm_dpmpp_2m_sde": _EDM._replace(step=dpmpp_2m_sde, memory=1, uses_noise=_always, preset=SDE),
}

# What an ending of a name asks for, as the documentation of diffusers has A1111's schedule types.
SPACINGS: Mapping[str, Settings] = {
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "beta": {"use_beta_sigmas": True},
    "sgm_uniform": {"timestep_spacing": "trailing"},
}
_MEASURES = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas")
_OPEN = ("euler",)  # names that leave the spacing to the file


def with_spacings(name: str, sampler: Sampler) -> Iterator[tuple[str, Sampler]]:
    """The sampler, in which what the name leaves out is off, whatever the file says; and with each spacing."""
    known = DEFAULTS[sampler.scheduler]
    off = {key: False for key in _MEASURES if key in known}
    plain = {} if name in _OPEN else {key: False for key in off if key != "use_lu_lambdas"}
    yield name, sampler._replace(preset={**plain, **sampler.preset})
    for ending, spacing in SPACINGS.items():
        if spacing.keys() <= known.keys() and sampler.scheduler not in ("LCMScheduler", "TCDScheduler"):
            yield f"{name}_{ending}", sampler._replace(preset={**off, **sampler.preset, **spacing})
