"""The pictures of a Refine: nothing that is bad of one hides what is bad of the other, of the size, or of the rest."""

from __future__ import annotations

from typing import Any

import pytest
from safelight.v1 import images_pb2 as pb
from safelight_server.contract.requests import plan_from, stream_from
from safelight_server.diffusion.model_info import Limits, ModelInfo
from safelight_server.errors import InvalidRequest, JobError, ModelNotFound
from support import bombs
from support.engines import CONFIGS
from support.pictures import black

LIMITS = Limits(min_edge=32, max_edge=2048, edge_multiple=8, max_prompt_tokens=77)
INFOS = {
    "demo-xl": ModelInfo("demo-xl", CONFIGS["demo-xl"], LIMITS, "f32", "CPU", True, ("demo-vega", "demo-refiner")),
    "demo-vega": ModelInfo("demo-vega", CONFIGS["demo-vega"], LIMITS, "f32", "CPU", False, ("demo-refiner",)),
    "demo-refiner": ModelInfo("demo-refiner", CONFIGS["demo-refiner"], LIMITS, "f32", "CPU", True),
}
BROKEN_INSIDE = bombs.flat_png(64, 64, idat=bombs.zeros(100))
NOT_READ = "cannot be read: the file is broken or breaks off"


def bad(kind: type[JobError] = InvalidRequest, **fields: Any) -> dict[str, str]:
    """The bad fields of a Refine, and what is wrong with each."""
    request = pb.RefineRequest(**{"prompt": "x", "image": black(64, 64), "steps": 2, **fields})
    with pytest.raises(kind) as caught:
        plan_from(request, INFOS, "id")
    found = {violation.field: violation.description for violation in caught.value.violations}
    assert len(found) == len(caught.value.violations), "each field is named once"
    return found


@pytest.mark.parametrize(
    ("image", "rule"),
    [
        (b"", "must be a PNG, JPEG or WebP file; these 0 bytes are none"),
        (b"GIF89a", "must be a PNG, JPEG or WebP file; these 6 bytes are none"),
        (black(64, 64)[:-30], NOT_READ),
        (BROKEN_INSIDE, NOT_READ),
        (bombs.scan_bomb(4096, 800), "must have at most 100 scans, and has more"),
        (bombs.flat_png(2**24, 1), "must have edges of at most 16384 pixels, not 16777216 x 1"),
    ],
)
def test_a_broken_picture_hides_nothing(image: bytes, rule: str) -> None:
    assert bad(image=image) == {"image": rule}
    found = bad(image=image, mask=b"no picture", width=65, height=-8 % 2**32, strength=1.5, steps=0, num_images=99)
    assert set(found) == {"image", "mask", "width", "height", "strength", "steps", "num_images"}
    assert found["image"] == rule
    assert found["width"] == "must be a multiple of 8 from 32 to 2048, not 65"
    assert found["mask"] == "must be a PNG, JPEG or WebP file; these 10 bytes are none"


def test_a_mask_is_told_of_beside_its_picture() -> None:
    assert bad(mask=black(64, 72)) == {"mask": "must have the image's size 64 x 64, not 64 x 72"}
    assert bad(mask=BROKEN_INSIDE) == {"mask": NOT_READ}
    assert bad(mask=BROKEN_INSIDE, image=BROKEN_INSIDE) == {"mask": NOT_READ, "image": NOT_READ}
    assert bad(mask=BROKEN_INSIDE, steps=0) == {"mask": NOT_READ, "steps": "must be from 1 to 150, not 0"}


def test_pixels_that_nobody_may_have_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[Any] = []
    monkeypatch.setattr("safelight_server.contract.pictures.pixels_of", lambda *told: unpacked.append(told))
    bad(image=bombs.flat_png(4096, 2048), width=64, height=64, steps=0)
    bad(ModelNotFound, model="none")
    assert not unpacked


OTHERS: dict[str, Any] = {
    "prompt": "a" * 9000,
    "width": 65,
    "num_images": 0,
    "guidance_scale": -1.0,
    "scheduler": "heunish",
    "output": {"quality": 0, "format": 77},
    "priority": 9,
    "size_conditioning": {"aesthetic_score": 99.0},
    "acceleration": {"guidance_until": 1.5},
}
NAMED = {
    "prompt",
    "width",
    "num_images",
    "guidance_scale",
    "scheduler",
    "output.quality",
    "output.format",
    "priority",
    "size_conditioning.aesthetic_score",
    "acceleration.guidance_until",
}


def test_an_unknown_model_hides_nothing() -> None:
    found = bad(ModelNotFound, model="sd15", image=b"", mask=b"no", strength=2.0, **OTHERS)
    assert set(found) == {"model", "image", "mask", "strength", *NAMED}
    assert found["model"] == "must be one of demo-xl, demo-vega, demo-refiner, not 'sd15'"
    stage = {"model": "none", "handoff": 1.0}
    found = bad(ModelNotFound, model="sd15", refiner=stage, **OTHERS)
    assert set(found) == {"model", "refiner.model", "refiner.handoff", *NAMED}
    assert set(bad(ModelNotFound, refiner=stage, **OTHERS)) == {"refiner.model", "refiner.handoff", *NAMED}


def test_what_hangs_on_the_model_is_not_told_of_an_unknown_one() -> None:
    """demo-vega has no DeepCache, demo-refiner draws no picture from nothing; the model that is meant may."""
    cases: list[dict[str, Any]] = [{"acceleration": {"deep_cache_interval": 2}}, {"refiner": {"model": "demo-refiner"}}]
    for fields in cases:
        with pytest.raises(ModelNotFound) as caught:
            plan_from(pb.GenerateRequest(prompt="x", model="none", **fields), INFOS, "id")
        assert [violation.field for violation in caught.value.violations] == ["model"]


def test_a_stream_tells_of_its_previews_beside_an_unknown_model() -> None:
    request = pb.StreamRequest(
        generate=pb.GenerateRequest(model="none", num_images=0), preview=pb.PreviewOptions(quality=0)
    )
    with pytest.raises(ModelNotFound) as caught:
        stream_from(request, INFOS, "id")
    told = {violation.field for violation in caught.value.violations}
    assert told == {"generate.model", "generate.num_images", "preview.quality"}
