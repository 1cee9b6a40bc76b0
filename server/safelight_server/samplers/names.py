"""The names that schedulers have elsewhere: those of A1111, ComfyUI and diffusers, as names of ours."""

from __future__ import annotations

from collections.abc import Mapping

# What others call ours, in plain letters: without case, spaces and marks, and "++" is "pp", as k-diffusion writes it.
_CALLED: Mapping[str, tuple[str, ...]] = {
    "euler": ("eulerdiscretescheduler",),
    "euler_ancestral": ("eulera", "eulerancestraldiscretescheduler"),
    "dpmpp_2m": ("dpmsolvermultistep", "dpmsolvermultistepscheduler"),
    "dpmpp_2m_sde": ("dpmpp2msdegpu",),
    "dpmpp_sde": ("dpmppsdegpu", "dpmsolversdescheduler"),
    "dpmpp_2s": ("dpmsolversinglestep", "dpmsolversinglestepscheduler"),
    "unipc": ("unipcmultistepscheduler",),
    "deis": ("deismultistepscheduler",),
    "heun": ("heundiscretescheduler",),
    "kdpm2": ("dpm2discretescheduler",),
    "kdpm2_ancestral": ("dpm2a", "dpm2ancestraldiscretescheduler"),
    "lms": ("lmsdiscretescheduler",),
    "pndm": ("plms", "pndmscheduler"),
    "ddpm": ("ddpmscheduler",),
    "ddim": ("ddimscheduler",),
    "lcm": ("lcmscheduler",),
    "tcd": ("tcdscheduler",),
    "edm_euler": ("edmeulerscheduler",),
    "edm_dpmpp_2m": ("edmdpmsolvermultistepscheduler",),
    "edm_dpmpp_2m_sde": (),
}
_ENDINGS: Mapping[str, str] = {  # how the sigmas are spaced: A1111's schedule types
    "karras": "_karras",
    "exponential": "_exponential",
    "beta": "_beta",
    "sgmuniform": "_sgm_uniform",
    "": "",
}


def _plain(name: str) -> str:
    letters = "".join(letter for letter in name.lower().replace("++", "pp") if letter.isalnum())
    return letters.removeprefix("sample").removeprefix("k")  # k-diffusion's sample_heun, and ComfyUI's k_heun


_OURS: Mapping[str, str] = {
    **{_plain(ours): ours for ours in _CALLED},
    **{name: ours for ours, names in _CALLED.items() for name in names},
}


def canonical(name: str) -> str:
    """The name of ours for a scheduler; a name that nothing here stands for comes back as it is."""
    plain = _plain(name)
    for ending, ours in _ENDINGS.items():
        base = plain.removesuffix(ending)
        if plain.endswith(ending) and base in _OURS:
            return _OURS[base] + ours
    return name
