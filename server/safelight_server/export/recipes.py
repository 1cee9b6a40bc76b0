"""Schedulers by name, what distillations to few steps want, and how a LoRA is known as one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelight_server.samplers.names import canonical
from safelight_server.samplers.scheduler_classes import DEFAULTS
from safelight_server.samplers.table import SAMPLERS

Json = dict[str, Any]
KEEP = "keep"

PLAIN = {"use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False}
TRAILING = {**PLAIN, "timestep_spacing": "trailing"}
DDIM = {"clip_sample": False, "set_alpha_to_one": False, "thresholding": False}
SOLVER = {"algorithm_type": "dpmsolver++", "solver_order": 2, "solver_type": "midpoint", "final_sigmas_type": "zero"}
LCM = {"original_inference_steps": 50, "timestep_scaling": 10.0}


def _of(name: str, *changes: Mapping[str, Any]) -> Json:
    merged: Json = {"_class_name": name}
    for change in changes:
        merged |= change
    return merged


# What some choices of --scheduler change in the checkpoint's scheduler_config.json; for the others, see `changes`.
SCHEDULERS: Mapping[str, Json] = {
    KEEP: {},
    "lcm": _of("LCMScheduler", LCM),
    "euler": _of("EulerDiscreteScheduler", PLAIN),
    "euler-trailing": _of("EulerDiscreteScheduler", TRAILING),
    "euler-ancestral": _of("EulerAncestralDiscreteScheduler", PLAIN),
    "euler-ancestral-trailing": _of("EulerAncestralDiscreteScheduler", TRAILING),
    "ddim": _of("DDIMScheduler", DDIM),
    "ddim-trailing": _of("DDIMScheduler", TRAILING, DDIM),
    "dpmpp-2m": _of("DPMSolverMultistepScheduler", SOLVER, PLAIN),
    "dpmpp-2m-karras": _of("DPMSolverMultistepScheduler", SOLVER, PLAIN, {"use_karras_sigmas": True}),
}


def scheduler_named(name: str) -> str | None:
    """What a name, ours or one from elsewhere, stands for: a key of SCHEDULERS or a sampler's name; None: nothing."""
    ours = canonical(name)
    keys = (name, ours.replace("_", "-"))
    return next((key for key in keys if key in SCHEDULERS), ours if ours in SAMPLERS else None)


def changes(scheduler: str) -> Json:
    """What a scheduler, as `scheduler_named` gives it, changes in a scheduler_config.json."""
    if scheduler in SCHEDULERS:
        return SCHEDULERS[scheduler]
    sampler = SAMPLERS[scheduler]
    known = DEFAULTS[sampler.scheduler]
    return _of(sampler.scheduler, {key: value for key, value in sampler.preset.items() if key in known})


@dataclass(frozen=True)
class Recipe:
    """A step distillation. Steps that its name tells ("8steps") win over `steps`."""

    pattern: str  # of the names that its LoRAs have: a word alone is not enough, for styles are called "lightning", too
    scheduler: str
    steps: int
    guidance: float


# By what the LoRAs' makers recommend (latent-consistency, ByteDance, tianweiy, wangfuyun, jasperai, stabilityai); the
# options of the command win over it. The first that fits a name counts. Guidance 1 is none.
RECIPES: Mapping[str, Recipe] = {
    "hyper-cfg": Recipe(r"hyper[-_]?sd(xl)?\b.*\bcfg", "ddim-trailing", 8, 5.0),
    "hyper": Recipe(r"hyper[-_ ]?sd(xl)?", "ddim-trailing", 4, 1.0),
    "lightning": Recipe(r"sd-?xl-?lightning|lightning-?(sd-?xl|\d+-?steps?)", "euler-trailing", 4, 1.0),
    "turbo": Recipe(r"sd-?xl-?turbo|turbo-?sd-?xl", "euler-ancestral-trailing", 4, 1.0),
    "dmd2": Recipe(r"(?<![a-z])dmd2?(?![a-z])", "lcm", 4, 1.0),
    "pcm": Recipe(r"(?<![a-z])pcm(?![a-z])", "ddim-trailing", 4, 1.0),
    "flash": Recipe(r"flash[-_ ]?(sd|diffusion)", "lcm", 4, 1.0),
    "lcm": Recipe(r"(?<![a-z])(ssd-?1b-?)?lcm(?![a-z])|vega-?rt|latent[-_ ]consistency", "lcm", 4, 1.0),
}
TOLD_BY = ("ss_output_name", "modelspec.title", "name")  # where a file's metadata has its name
GENERIC = re.compile(r"pytorch_lora_weights|adapter_model|lora|model|[0-9a-f]{32,}")  # names that say nothing
STEPS = re.compile(r"(?<!\d)(\d{1,2})[-_ ]?steps?(?![a-z])")


def of_lora(given: str, path: Path, metadata: Mapping[str, str]) -> str | None:
    """The recipe of a LoRA, a key of RECIPES; None: it is no distillation that is known.

    `given` is the name that the user gave. The file's own name says it, and its metadata; the folder that it lies in
    only where the file is called what all are called.
    """
    names = [path.stem, *(metadata[key] for key in TOLD_BY if key in metadata)]
    if not Path(given).exists() or GENERIC.fullmatch(path.stem.lower()):
        names += [given, *_folders(path)]
    return next((key for name in names for key, recipe in RECIPES.items() if _fits(recipe.pattern, name)), None)


def _folders(path: Path) -> list[str]:
    """The folder's name; in the hub's cache, the repository's."""
    repository = next((parent.name for parent in path.absolute().parents if parent.name.startswith("models--")), None)
    return [repository or path.absolute().parent.name]


def steps(recipe: str, name: str) -> int:
    """The steps of a recipe, by the LoRA's name where that tells them: "sdxl_lightning_8step_lora"."""
    found = STEPS.search(name.lower())
    return max(1, int(found[1])) if found else RECIPES[recipe].steps


def _fits(pattern: str, name: str) -> bool:
    return re.search(pattern, name.lower().replace("_", "-")) is not None
