"""Which LoRAs are step distillations, by the names that they have on the hub; a style is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from safelight_server.export import recipes
from safelight_server.samplers.table import SAMPLERS, make_schedule, name_of
from support.scheduler_configs import PLAYGROUND, SDXL

KNOWN = {
    "lcm-lora-sdxl": ("lcm", 4),
    "LCM_LoRA_SDXL": ("lcm", 4),
    "Segmind-VegaRT": ("lcm", 4),
    "sdxl_lightning_8step_lora": ("lightning", 8),
    "sdxl_lightning_2step_lora": ("lightning", 2),
    "sd_xl_turbo_lora_v1": ("turbo", 4),
    "Hyper-SDXL-1step-lora": ("hyper", 1),
    "Hyper-SDXL-8steps-lora": ("hyper", 8),
    "Hyper-SDXL-8steps-CFG-lora": ("hyper-cfg", 8),
    "Hyper-SDXL-12steps-CFG-lora": ("hyper-cfg", 12),
    "dmd2_sdxl_4step_lora": ("dmd2", 4),
    "pcm_sdxl_normalcfg_8step_converted": ("pcm", 8),
    "flash-sdxl": ("flash", 4),
}
STYLES = ["style", "lightning_bolt_style", "porsche-911-turbo", "flashlight", "hyperrealism_v3", "halcmyon", "pcmcia"]


@pytest.mark.parametrize("name", KNOWN)
def test_a_distillation_is_known_by_its_file_s_name_and_by_its_metadata(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.safetensors"
    recipe, steps = KNOWN[name]
    path.touch()
    assert recipes.of_lora(str(path), path, {}) == recipe
    assert recipes.steps(recipe, name) == steps
    other = tmp_path / "x.safetensors"
    other.touch()
    assert recipes.of_lora(str(other), other, {"ss_output_name": name}) == recipe
    assert recipes.RECIPES[recipe].scheduler in recipes.SCHEDULERS


@pytest.mark.parametrize(
    ("name", "stands_for"),
    [
        ("keep", "keep"),
        ("euler-trailing", "euler-trailing"),
        ("Euler a", "euler-ancestral"),
        ("DPM++ 2M Karras", "dpmpp-2m-karras"),
        ("DPM++ SDE Karras", "dpmpp_sde_karras"),
        ("unipc", "unipc"),
        ("PNDMScheduler", "pndm"),
        ("no such one", None),
    ],
)
def test_a_scheduler_has_its_names_from_elsewhere(name: str, stands_for: str | None) -> None:
    assert recipes.scheduler_named(name) == stands_for


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_a_name_writes_is_that_sampler_s(name: str) -> None:
    chosen = recipes.scheduler_named(name)
    assert chosen is not None
    own = PLAYGROUND if name.startswith("edm") else SDXL
    written = {**own, **recipes.changes(chosen)}
    got, want = make_schedule(name_of(written), written, 4), make_schedule(name, own, 4)
    assert (got.moves, got.levels) == (want.moves, want.levels)


@pytest.mark.parametrize("name", STYLES)
def test_a_style_is_none(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.safetensors"
    path.touch()
    assert recipes.of_lora(str(path), path, {"ss_output_name": name}) is None


def test_a_file_that_is_called_what_all_are_called_is_known_by_its_repository(tmp_path: Path) -> None:
    path = tmp_path / "models--latent-consistency--lcm-lora-sdxl/snapshots/1/pytorch_lora_weights.safetensors"
    assert recipes.of_lora("latent-consistency/lcm-lora-sdxl", path, {}) == "lcm"


def test_the_docs_say_what_each_recipe_stands_for() -> None:
    page = (Path(__file__).parents[2] / "docs/export.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| `")
    ]
    told = {name.strip("` "): row[1:] for row in rows if len(row) == 4 for name in row[0].split(",")}
    del told["--scheduler"]
    assert told.keys() == recipes.RECIPES.keys()
    for name, (stands_for, steps, guidance) in told.items():
        recipe = recipes.RECIPES[name]
        assert recipe.scheduler in stands_for.replace("the LCM scheduler", "lcm")
        assert (int(steps), float(guidance)) == (recipe.steps, recipe.guidance)
