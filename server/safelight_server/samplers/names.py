"""The names that schedulers have elsewhere: those of A1111, ComfyUI and diffusers, as names of ours."""

from __future__ import annotations

from collections.abc import Mapping

# Without case, spaces and marks; "++" is "pp", as k-diffusion writes it. Names of ours as they are need no entry.
_ALIASES: Mapping[str, str] = {
    "euler": "euler",
    "eulerdiscretescheduler": "euler",
    "eulera": "euler_ancestral",
    "eulerancestral": "euler_ancestral",
    "eulerancestraldiscretescheduler": "euler_ancestral",
    "dpmpp2m": "dpmpp_2m",
    "dpmsolvermultistep": "dpmpp_2m",
    "dpmsolvermultistepscheduler": "dpmpp_2m",
    "dpmpp2mkarras": "dpmpp_2m_karras",
    "dpmpp2mexponential": "dpmpp_2m_exponential",
    "dpmpp2msde": "dpmpp_2m_sde",
    "dpmpp2msdegpu": "dpmpp_2m_sde",
    "dpmpp2msdekarras": "dpmpp_2m_sde_karras",
    "dpmpp2msdeexponential": "dpmpp_2m_sde_exponential",
    "ddim": "ddim",
    "ddimscheduler": "ddim",
    "lcm": "lcm",
    "lcmscheduler": "lcm",
    "tcd": "tcd",
    "tcdscheduler": "tcd",
}


def canonical(name: str) -> str:
    """The name of ours for a scheduler; a name that nothing here stands for comes back as it is."""
    plain = "".join(letter for letter in name.lower().replace("++", "pp") if letter.isalnum())
    return _ALIASES.get(plain.removeprefix("sample").removeprefix("k"), name)
