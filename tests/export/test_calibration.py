"""The samples that calibration records of small models, and the orders that it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safelight_server.errors import LoadError
from safelight_server.export.calibration import Order, run
from support.samples import recorded


def test_calibration_sees_every_step_both_guidances_and_several_sizes(samples: dict[str, Path]) -> None:
    seen = recorded(samples["base"] / "unet")
    assert len(seen) == 60
    assert len({float(sample["timestep"][0]) for sample in seen}) == 25
    assert {len(sample["sample"]) for sample in seen} == {1, 2}
    sizes = {sample["sample"].shape[2:] for sample in seen}
    assert len(sizes) >= 3
    assert any(height != width for height, width in sizes)
    for sample in seen:
        height, width = sample["sample"].shape[2:]
        assert tuple(sample["time_ids"][0]) == (8 * height, 8 * width, 0, 0, 8 * height, 8 * width)
    by_step: dict[float, set[Any]] = {}
    for sample in seen:
        by_step.setdefault(float(sample["timestep"][0]), set()).add(sample["sample"].shape[2:])
    assert any(len(of_step) > 1 for of_step in by_step.values()), "sizes go in step with the steps"
    assert all(sample["latent_sample"].shape[:2] == (1, 4) for sample in recorded(samples["base"] / "vae_decoder"))


def test_calibration_of_a_few_step_model_sees_all_its_steps(samples: dict[str, Path]) -> None:
    seen = recorded(samples["vega_lcm"] / "unet")
    assert len(seen) == 16
    assert {float(sample["timestep"][0]) for sample in seen} == {999, 759, 499, 259}
    assert all(len(sample["sample"]) == 1 for sample in seen), "no guidance by default"
    assert all(sample["timestep_cond"].shape == (1, 16) for sample in seen)


def test_calibration_of_a_refiner_redraws_pictures(samples: dict[str, Path]) -> None:
    seen = recorded(samples["refiner"] / "unet")
    assert all(sample["time_ids"].shape[1] == 5 for sample in seen)
    steps = {float(sample["timestep"][0]) for sample in seen}
    assert len(steps) == 15, "the last 60 % of 25"
    assert max(steps) < 700


@pytest.mark.parametrize(
    ("model", "order", "why"),
    [
        ("inpaint", {}, "must be of kind base or refiner to be calibrated, not inpaint"),
        ("base", {"count": 10}, "samples must be at least 25, for every step to be seen, not 10"),
        ("base", {"sizes": [100]}, "sizes must be multiples of "),
        ("base", {"prompts": "/nowhere"}, "prompts must be a text file in UTF-8, not /nowhere"),
    ],
)
def test_orders_that_are_refused(
    model: str, order: dict[str, Any], why: str, folders: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(LoadError) as raised:
        run(Order(folders[model], str(tmp_path / "out"), **order), lambda done, total: None)
    assert why in str(raised.value)
    assert not (tmp_path / "out").exists()
