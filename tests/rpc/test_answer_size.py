"""How large an answer will probably be, held against pictures: photographs fit their estimate, noise does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from safelight.v1 import images_pb2 as pb
from safelight_server.images import files
from safelight_server.jobs import Job, Output, Prompts, Scheduler
from safelight_server.messages import events as responses
from safelight_server.rpc import answer_size
from safelight_server.rpc.answer_size import DEFAULT, AnswerTooLarge

OUTPUTS = [Output(), *(Output(format, quality) for format in ("jpeg", "webp") for quality in (1, 30, 75, 90, 95, 100))]


def job(output: Output = Output(), edge: int = 512, count: int = 1) -> Job:  # noqa: B008 - it is frozen
    return Job(
        id="job",
        model="base",
        prompts=Prompts("an owl", "an owl"),
        size=(edge, edge),
        steps=1,
        guidance=1.0,
        rescale=0.0,
        seeds=tuple(range(count)),
        scheduler=Scheduler("euler"),
        output=output,
        recipe={"prompt": "an owl"},
    )


def scene(edge: int = 512) -> Any:
    """Smooth colours with some grain: what a photograph is to an encoder, at its grainier."""
    chance = np.random.default_rng(3)
    colours = Image.fromarray(chance.integers(0, 256, (24, 24, 3), dtype=np.uint8)).resize((edge, edge), 3)
    return np.clip(np.asarray(colours) + chance.normal(0, 1.5, (edge, edge, 1)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: f"{output.format}-{output.quality}")
def test_a_scene_takes_its_estimate_at_most(output: Output) -> None:
    size = len(files.save(scene(), output, job().recipe))
    assert size <= answer_size.file_size(job(output))
    if output.format == "png":
        assert size > 0.7 * answer_size.file_size(job(output)), "and not far less"


@pytest.mark.parametrize(
    ("edge", "count", "fits"), [(512, 8, True), (512, 9, False), (1024, 2, True), (1024, 3, False), (512, 16, False)]
)
def test_what_fits_into_4_mib(edge: int, count: int, fits: bool) -> None:
    if fits:
        return answer_size.check(job(edge=edge, count=count), DEFAULT)
    with pytest.raises(AnswerTooLarge) as caught:
        answer_size.check(job(edge=edge, count=count), DEFAULT)
    assert [violation.field for violation in caught.value.violations] == ["num_images", "width", "output"]
    answer_size.check(job(Output("jpeg"), edge, count), DEFAULT)
    return None


def test_one_picture_that_is_too_large_is_not_told_to_be_fewer() -> None:
    with pytest.raises(AnswerTooLarge) as caught:
        answer_size.check(job(Output("webp", 100), edge=4096), DEFAULT)
    assert [violation.field for violation in caught.value.violations] == ["width"]


@pytest.mark.parametrize("length", [1, 10, 11, 20, 25])
def test_pieces(length: int) -> None:
    image = pb.Image(index=1, seed=2, format=pb.IMAGE_FORMAT_PNG, data=bytes(range(length)), width=8, height=16)
    whole = pb.StreamResponse(job_id="job", sequence=3, image=image)
    told = list(responses.pieces(whole, 10))
    if length <= 10:
        assert told == [whole]
        return
    parts = [response.image_part for response in told]
    assert b"".join(part.image.data for part in parts) == image.data
    assert [(part.offset, part.total_bytes) for part in parts] == [(at, length) for at in range(0, length, 10)]
    for part in parts:
        part.image.data = image.data
        assert part.image == image
