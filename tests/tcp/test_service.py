"""The service over TCP: what a stream tells, that pictures do not depend on company, what is sent and logged."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.json_format import ParseDict
from PIL import Image
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight_server.samplers.table import SAMPLERS
from support.asking import JOB, events, generate, kinds, stream
from support.pictures import mask, opened, picture
from support.servers import ServerProcess


def test_a_stream_tells_all_in_order(stub: ImageServiceStub) -> None:
    told = events(stub, num_images=2)
    seen = kinds(told)
    assert seen[:2] == ["queued", "started"]
    assert seen[-1] == "done"
    assert seen.count("image") == 2
    assert [response.sequence for response in told] == list(range(1, len(told) + 1))
    assert len({response.job_id for response in told}) == 1
    started = next(response.started for response in told if response.HasField("started"))
    assert (started.model, started.width, started.height, started.steps) == ("base", 96, 64, 5)
    assert list(started.seeds) == [11, 12]
    first = told[seen.index("preview")].preview
    assert first.step == 1 + first.skipped, "the first preview comes after the first step"
    timings = told[-1].done.timings
    spent = [getattr(timings, stage).ToTimedelta().total_seconds() for stage in ("encode", "denoise", "decode", "save")]
    assert all(seconds > 0 for seconds in spent)
    assert timings.total.ToTimedelta().total_seconds() >= sum(spent) * 0.99


def test_a_stream_ends_with_the_picture_that_generate_gives(stub: ImageServiceStub) -> None:
    told = events(stub)
    assert told[-2].image.data == generate(stub)
    assert (told[-2].image.seed, told[-2].image.format) == (11, pb.IMAGE_FORMAT_PNG)


@pytest.mark.parametrize(
    "decoder", [pb.PREVIEW_DECODER_LINEAR, pb.PREVIEW_DECODER_TINY, pb.PREVIEW_DECODER_UNSPECIFIED]
)
def test_previews_are_of_the_size_that_is_asked_for(decoder: Any, stub: ImageServiceStub) -> None:
    told = events(stub, pb.PreviewOptions(max_edge=48, decoder=decoder))
    previews = [response.preview for response in told if response.HasField("preview")]
    assert previews
    for preview in previews:
        shown = opened(preview.data)
        assert (shown.format, shown.size) == ("JPEG", (48, 32))
        assert (preview.width, preview.height, preview.steps) == (48, 32, 5)


def test_previews_come_when_they_are_due(stub: ImageServiceStub) -> None:
    every_two = events(stub, pb.PreviewOptions(every_steps=2))
    assert {response.preview.step for response in every_two if response.HasField("preview")} <= {2, 4}
    assert "preview" not in kinds(events(stub, pb.PreviewOptions(every_steps=0)))
    rare = events(stub, pb.PreviewOptions(min_interval={"seconds": 3000}))
    assert kinds(rare).count("preview") == 1


# What gRPC buffers on the way counts as read: by default some 4 MB, here little.
LITTLE = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 2**16))


def test_a_slow_reader_gets_the_newest_preview_and_every_picture(server: ServerProcess, stub: ImageServiceStub) -> None:
    job = {"width": 128, "height": 128, "steps": 20, "num_images": 2}
    with grpc.insecure_channel(server.address, LITTLE) as channel:
        slow = stream(ImageServiceStub(channel), pb.PreviewOptions(max_edge=128, quality=100), **job)
        assert [next(slow).WhichOneof("event") for _ in range(2)] == ["queued", "started"]
        drawn = stub.Generate(pb.GenerateRequest(**{**JOB, **job}))  # the same drawing; it waits for no reader
        told = list(slow)
    assert [r.image.data for r in told if r.HasField("image")] == [image.data for image in drawn.images]
    previews = [r.preview for r in told if r.HasField("preview")]
    steps = [(preview.image_index, preview.step) for preview in previews]
    assert steps == sorted(steps)
    assert steps[-1] == (1, 19), "the newest: after the last step the picture follows"
    skipped = sum(preview.skipped for preview in previews)
    assert skipped > 0
    assert len(previews) + skipped <= 38


def test_a_masked_picture_may_be_handed_from_a_model_that_sees_the_mask_to_one_that_does_not(
    stub: ImageServiceStub,
) -> None:
    source = {"image": picture(), "mask": mask(), "strength": 0.8}
    job: dict[str, Any] = {**JOB, **source, "width": 136, "height": 104, "steps": 10, "model": "inpaint"}
    alone = stub.Refine(pb.RefineRequest(**job)).images[0].data
    handed = stub.Refine(pb.RefineRequest(**job, refiner=pb.RefinerStage(model="refiner", handoff=0.6))).images[0].data
    assert handed != alone
    assert stub.Refine(pb.RefineRequest(**job)).images[0].data == alone, "and nothing is broken by it"


def test_every_image_is_the_one_that_its_seed_gives_alone(stub: ImageServiceStub) -> None:
    batch = stub.Generate(pb.GenerateRequest(**{**JOB, "num_images": 3, "scheduler": "euler_ancestral"}))
    assert [image.seed for image in batch.images] == [11, 12, 13]
    alone = [generate(stub, seed=seed, scheduler="euler_ancestral") for seed in (11, 12, 13)]
    assert [image.data for image in batch.images] == alone
    assert len(set(alone)) == 3


def test_company_does_not_change_a_picture(stub: ImageServiceStub) -> None:
    jobs: list[dict[str, Any]] = [
        {"seed": 1, "scheduler": "dpmpp_2m"},
        {"seed": 2, "width": 128, "guidance_scale": 1.0},
        {"model": "vega_lcm", "seed": 3, "steps": 4},
        {"seed": 4, "refiner": {"model": "refiner", "handoff": 0.5}},
        {"model": "zero_snr", "seed": 5},
    ]
    alone = [generate(stub, **job) for job in jobs]
    together: dict[int, bytes] = {}
    threads = [
        threading.Thread(target=lambda i=i, job=job: together.update({i: generate(stub, **job)}))
        for i, job in enumerate(jobs * 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[i] for i in range(len(threads))] == alone * 2


def test_a_png_carries_the_request_that_makes_it_again(stub: ImageServiceStub) -> None:
    fields = {
        "negative_prompt": "",
        "guidance_scale": 3.5,
        "refiner": {"model": "refiner"},
        "num_images": 2,
        "prompt": "ä 🍎",
    }
    batch = stub.Generate(pb.GenerateRequest(**{**JOB, **fields}))
    for image in batch.images:
        text = opened(image.data).text  # type: ignore[attr-defined]
        again = stub.Generate(ParseDict(json.loads(text["safelight"]), pb.GenerateRequest()))
        assert [other.data for other in again.images] == [image.data]


@pytest.mark.parametrize(("format", "name"), [(pb.IMAGE_FORMAT_JPEG, "JPEG"), (pb.IMAGE_FORMAT_WEBP, "WEBP")])
def test_other_formats(format: Any, name: str, stub: ImageServiceStub) -> None:
    response = stub.Generate(pb.GenerateRequest(**JOB, output=pb.OutputOptions(format=format, quality=100)))
    assert response.images[0].format == format
    compressed, exact = opened(response.images[0].data), opened(generate(stub))
    assert compressed.format == name
    # What is compressed keeps its colours in the large; the fine noise of random weights, it does not.
    both = (compressed, exact)
    small = [np.asarray(p.convert("RGB").resize((8, 8), Image.Resampling.BOX)).astype(float) for p in both]
    assert np.abs(small[0] - small[1]).max() < 6


def test_no_seed_is_a_new_seed_that_is_told(stub: ImageServiceStub) -> None:
    job = {name: value for name, value in JOB.items() if name != "seed"}
    one, two = (stub.Generate(pb.GenerateRequest(**job)).images[0] for _ in range(2))
    assert one.seed != two.seed
    assert generate(stub, seed=one.seed) == one.data


def test_a_cut_prompt_is_told(stub: ImageServiceStub) -> None:
    response = stub.Generate(pb.GenerateRequest(**{**JOB, "prompt": "apple " * 90}))
    assert response.warnings == [
        "prompt: the last 15 tokens do not fit into 77 and are cut; prompt_syntax weighted takes longer prompts"
    ]


def test_list_models(stub: ImageServiceStub) -> None:
    models = {model.name: model for model in stub.ListModels(pb.ListModelsRequest()).models}
    assert list(models) == ["base", "zero_snr", "vega_lcm", "refiner", "inpaint"]
    assert [model.kind for model in models.values()] == [1, 1, 1, 2, 3]
    base, lcm = models["base"], models["vega_lcm"]
    assert (base.precision, base.device, base.has_tiny_decoder) == ("f32", "CPU", True)
    assert (base.defaults.width, base.defaults.steps, base.defaults.guidance_scale) == (128, 25, 5.0)
    assert (lcm.defaults.width, lcm.defaults.steps, lcm.defaults.guidance_scale) == (192, 4, 1.0)
    assert lcm.defaults.scheduler == "lcm"
    assert set(base.schedulers) == {name for name in SAMPLERS if not name.startswith("edm")}
    assert list(base.refiners) == ["zero_snr", "vega_lcm", "refiner"]


def test_a_request_id_comes_back_and_is_in_the_log(server: ServerProcess, stub: ImageServiceStub) -> None:
    _, call = stub.Generate.with_call(pb.GenerateRequest(**JOB), metadata=(("x-request-id", "my-own-id"),))
    assert dict(call.trailing_metadata())["x-request-id"] == "my-own-id"
    server.wait_for("my-own-id", "done in")
    assert "red apple" not in server.log(), "prompts are nobody's business"


def test_the_server_imports_no_training_libraries() -> None:
    code = (
        "import sys, safelight_server.__main__;"
        "print(sorted({'torch', 'diffusers', 'transformers', 'optimum', 'nncf'} & sys.modules.keys()))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
