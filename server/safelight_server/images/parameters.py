"""How a picture was drawn, as A1111's web UI writes it, and as those read it who collect such pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from safelight_server import __version__

SAMPLERS = {  # A1111's names (modules/sd_samplers_*.py), and such as it could have for those that it does not know
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_sde": "DPM++ SDE",
    "unipc": "UniPC",
    "heun": "Heun",
    "kdpm2": "DPM2",
    "kdpm2_ancestral": "DPM2 a",
    "lms": "LMS",
    "pndm": "PLMS",
    "dpmpp_2s": "DPM++ 2S",
    "deis": "DEIS",
    "ddpm": "DDPM",
    "edm_euler": "EDM Euler",
    "edm_dpmpp_2m": "EDM DPM++ 2M",
    "edm_dpmpp_2m_sde": "EDM DPM++ 2M SDE",
    "ddim": "DDIM",
    "lcm": "LCM",
    "tcd": "TCD",
}
WEIGHTED = "PROMPT_SYNTAX_WEIGHTED"  # prompts in A1111's own syntax
SPACINGS = {  # at the end of a scheduler's name, and of A1111's
    "_karras": " Karras",
    "_exponential": " Exponential",
    "_beta": " Beta",
    "_sgm_uniform": " SGM Uniform",
}


def parameters_text(recipe: Mapping[str, Any], model_hash: str = "") -> str:
    """The text under the key `parameters`: the prompts, and a line of settings. `recipe` is a request's ProtoJSON."""
    read = str if recipe.get("promptSyntax") == WEIGHTED else literal
    lines = [_prompt(read(recipe.get("prompt", "")))]
    if recipe.get("negativePrompt"):
        lines.append(f"Negative prompt: {_prompt(read(recipe['negativePrompt']))}")
    settings = ", ".join(f"{key}: {value}" for key, value in _settings(recipe, model_hash))
    return "\n".join([*lines, settings])


def literal(text: str) -> str:
    """The prompt that A1111 reads as this text, and no weights. Of a BREAK it makes a new chunk all the same."""
    return re.sub(r"[()\[\]\\]", r"\\\g<0>", text)


def _settings(recipe: Mapping[str, Any], model_hash: str) -> Iterator[tuple[str, Any]]:
    yield "Steps", recipe.get("steps", 0)
    yield "Sampler", sampler_label(recipe)
    yield "CFG scale", f"{recipe.get('guidanceScale', 0):g}"
    yield "Seed", recipe.get("seed", 0)
    yield "Size", f"{recipe.get('width', 0)}x{recipe.get('height', 0)}"
    if model_hash:
        yield "Model hash", model_hash
    yield "Model", _plain(recipe.get("model", ""))
    if "strength" in recipe:
        yield "Denoising strength", f"{recipe['strength']:g}"
    if "refiner" in recipe:
        yield "Refiner", _plain(recipe["refiner"].get("model", ""))
        yield "Refiner switch at", f"{recipe['refiner'].get('handoff', 0):g}"
    yield "Version", f"safelight {__version__}"


def sampler_label(recipe: Mapping[str, Any]) -> str:
    """A1111's name of the sampler and its spacing: "DPM++ 2M Karras"."""
    name, spacing = str(recipe.get("scheduler", "")), ""
    if recipe.get("schedulerOptions", {}).get("useKarrasSigmas"):
        spacing = SPACINGS["_karras"]
    for end, text in SPACINGS.items():
        if name.endswith(end):
            name, spacing = name.removesuffix(end), text
    return SAMPLERS.get(name, name) + spacing


def _prompt(text: str) -> str:
    """A prompt as it is, but for lines that would be taken for the next part."""
    return text.replace("\nNegative prompt:", " Negative prompt:").replace("\nSteps:", " Steps:").strip()


def _plain(text: str) -> str:
    """A name without what separates settings."""
    return text.replace(",", " ").replace(":", " ").replace("\n", " ")
