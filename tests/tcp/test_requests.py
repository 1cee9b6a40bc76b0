"""Bad input at the door, over TCP: every bad field is named at once, with its rule and its value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from support.failures import failure
from support.pictures import black, bomb
from support.servers import ServerProcess

NAN, INF = float("nan"), float("inf")
SMALL: dict[str, Any] = {"prompt": "x", "width": 64, "height": 64, "steps": 1}


def refused(call: Any, request: Any, code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT) -> dict[str, str]:
    """The bad fields of a request that is refused with `code`, and what is wrong with each."""
    found = failure(lambda: list(call(request)) if isinstance(request, pb.StreamRequest) else call(request))
    assert found.code is code
    return found.violations


GENERATE: list[tuple[dict[str, Any], str]] = [
    ({"width": 65}, "width"),
    ({"height": 0}, "height"),
    ({"width": 1_000_000}, "width"),
    ({"steps": 0}, "steps"),
    ({"steps": 151}, "steps"),
    ({"guidance_scale": NAN}, "guidance_scale"),
    ({"guidance_scale": -1.0}, "guidance_scale"),
    ({"guidance_rescale": INF}, "guidance_rescale"),
    ({"num_images": 0}, "num_images"),
    ({"num_images": 10_000}, "num_images"),
    ({"scheduler": "heunish"}, "scheduler"),
    ({"scheduler": "lcm", "steps": 120}, "scheduler"),
    ({"scheduler_options": {"timestep_spacing": "wide"}}, "scheduler_options.timestep_spacing"),
    ({"scheduler_options": {"eta": 2.0}}, "scheduler_options.eta"),
    ({"prompt": "a" * 9000}, "prompt"),
    ({"output": {"quality": 0}}, "output.quality"),
    ({"output": {"format": 77}}, "output.format"),
    ({"size_conditioning": {"original": {"width": 5}}}, "size_conditioning.original.height"),
    ({"size_conditioning": {"crop": {"x": 99999}}}, "size_conditioning.crop.x"),
    ({"size_conditioning": {"aesthetic_score": NAN}}, "size_conditioning.aesthetic_score"),
    ({"refiner": {"model": "refiner", "handoff": 1.0}}, "refiner.handoff"),
    ({"refiner": {"model": "refiner", "handoff": NAN}}, "refiner.handoff"),
    ({"refiner": {"model": "inpaint"}, "steps": 10}, "refiner.model"),
    ({"refiner": {"model": "refiner", "handoff": 0.01}}, "refiner.handoff"),
    ({"priority": 9}, "priority"),
    ({"acceleration": {"guidance_until": 1.5}}, "acceleration.guidance_until"),
    ({"acceleration": {"guidance_until": NAN}}, "acceleration.guidance_until"),
    ({"acceleration": {"deep_cache_interval": 151}}, "acceleration.deep_cache_interval"),
    ({"acceleration": {"tiny_decoder": True}, "model": "zero_snr"}, "acceleration.tiny_decoder"),
    ({"model": "refiner"}, "model"),
    ({"model": "inpaint"}, "model"),
]


@pytest.mark.parametrize(("fields", "field"), GENERATE, ids=lambda value: str(value)[:40])
def test_generate(fields: dict[str, Any], field: str, stub: ImageServiceStub) -> None:
    request = pb.GenerateRequest(**{**SMALL, **fields})
    assert list(refused(stub.Generate, request)) == [field]
    assert list(refused(stub.Stream, pb.StreamRequest(generate=request))) == [f"generate.{field}"]


def test_all_bad_fields_at_once(stub: ImageServiceStub) -> None:
    request = pb.GenerateRequest(
        prompt="x", width=7, height=9, steps=0, guidance_scale=NAN, scheduler="heunish", num_images=99
    )
    found = refused(stub.Generate, request)
    assert set(found) == {"width", "height", "steps", "guidance_scale", "scheduler", "num_images"}
    assert found["width"] == "must be a multiple of 8 from 32 to 2048, not 7"
    stream = pb.StreamRequest(generate=request, preview=pb.PreviewOptions(quality=0, max_edge=5))
    assert set(refused(stub.Stream, stream)) == {f"generate.{name}" for name in found} | {
        "preview.quality",
        "preview.max_edge",
    }


def test_unknown_models_are_not_found(stub: ImageServiceStub) -> None:
    found = refused(stub.Generate, pb.GenerateRequest(model="sd15"), grpc.StatusCode.NOT_FOUND)
    assert "must be one of base, zero_snr, vega_lcm, refiner, inpaint" in found["model"]
    request = pb.GenerateRequest(refiner=pb.RefinerStage(model="none"), **SMALL)
    assert list(refused(stub.Generate, request, grpc.StatusCode.NOT_FOUND)) == ["refiner.model"]


REFINE: list[tuple[dict[str, Any], str]] = [
    ({"image": b""}, "image"),
    ({"image": b"GIF89a not one of ours"}, "image"),
    ({"image": black(64, 64)[:-30]}, "image"),
    ({"image": bomb(13000)}, "image"),
    ({"image": bomb(30000)}, "image"),
    ({"mask": black(64, 72)}, "mask"),
    ({"mask": b"no picture"}, "mask"),
    ({"mask": black(64, 64)[:-30]}, "mask"),
    ({"strength": NAN}, "strength"),
    ({"strength": 1.5}, "strength"),
    ({"strength": 0.0}, "strength"),
    ({"image": black(16, 16)}, "height"),
]


@pytest.mark.parametrize(("fields", "field"), REFINE, ids=lambda value: str(value)[:40])
def test_refine(fields: dict[str, Any], field: str, stub: ImageServiceStub) -> None:
    request = pb.RefineRequest(**{"prompt": "x", "steps": 2, "image": black(64, 64), **fields})
    assert field in refused(stub.Refine, request)


def test_a_bomb_takes_no_memory(server: ServerProcess, stub: ImageServiceStub) -> None:
    def peak() -> int:
        status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmHWM:")[1].split()[0])

    request = pb.RefineRequest(prompt="x", image=bomb(13000))
    refused(stub.Refine, request)
    before = peak()
    refused(stub.Refine, request)
    assert peak() - before < 8 * 1024, "kilobytes; unpacked it would be 500 MB"


@pytest.mark.parametrize("method", ["Generate", "Refine", "ListModels", "Stream"])
def test_garbage_is_an_invalid_argument(method: str, server: ServerProcess) -> None:
    with grpc.insecure_channel(server.address) as channel:
        call: Any = channel.unary_stream(f"/safelight.v1.ImageService/{method}")
        assert failure(lambda: list(call(b"\xff\xff garbage"))).code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_stream_needs_a_request(stub: ImageServiceStub) -> None:
    assert list(refused(stub.Stream, pb.StreamRequest())) == ["request"]
    wanted = pb.StreamRequest(
        generate=pb.GenerateRequest(model="refiner"), preview={"decoder": pb.PREVIEW_DECODER_TINY}
    )
    refused(stub.Stream, wanted)
    tiny = pb.StreamRequest(
        generate=pb.GenerateRequest(model="zero_snr", **SMALL), preview={"decoder": pb.PREVIEW_DECODER_TINY}
    )
    assert list(refused(stub.Stream, tiny)) == ["preview.decoder"]
