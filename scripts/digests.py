"""Draws a picture by every path that a request can take and prints its SHA-256, to hold one commit against another.

SAFELIGHT_ADDRESS says where the server is. With --against FILE, a run's own output: fails where a digest differs. Both
runs must be on one machine: processors differ in the last bits.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from PIL import Image
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub

COMMON: dict[str, Any] = {"prompt": "a red apple on a teal background", "steps": 6, "seed": 7}
GENERATE: dict[str, dict[str, Any]] = {
    "plain": {},
    "defaults": {"steps": None},
    "wide": {"width": 192, "height": 128},
    "no guidance": {"guidance_scale": 1.0},
    "rescaled guidance": {"guidance_scale": 7.0, "guidance_rescale": 0.7},
    "negative": {"negative_prompt": "a cat", "guidance_scale": 4.0},
    "both encoders": {"prompt_2": "an owl", "negative_prompt_2": "a cat", "guidance_scale": 4.0},
    "sizes": {"size_conditioning": {"original": {"width": 700, "height": 500}, "crop": {"x": 32, "y": 8}}},
    "two images": {"num_images": 2},
    "jpeg": {"output": {"format": pb.IMAGE_FORMAT_JPEG}},
    "webp": {"output": {"format": pb.IMAGE_FORMAT_WEBP}},
    "karras": {"scheduler": "euler", "scheduler_options": {"use_karras_sigmas": True}},
    "tiny decoder": {"acceleration": {"tiny_decoder": True}},
    "guidance cut-off": {"acceleration": {"guidance_until": 0.5}, "guidance_scale": 4.0},
    "deep cache": {"acceleration": {"deep_cache_interval": 3}},
    **{
        name: {"scheduler": name} for name in ("euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_karras", "ddim", "lcm")
    },
}
REFINE: dict[str, dict[str, Any]] = {
    "redrawn": {"strength": 0.5},
    "redrawn, ancestral": {"strength": 0.7, "scheduler": "euler_ancestral"},
    "resampled": {"strength": 0.5, "width": 96, "height": 160},
    "masked": {"strength": 0.7, "mask": True},
    "masked, all of it": {"strength": 1.0, "mask": True},
}


def main() -> None:
    options = argparse.ArgumentParser(prog="scripts/digests", description=__doc__)
    options.add_argument("--against", type=Path, metavar="FILE", help="what a run before printed")
    before = options.parse_args().against
    with grpc.insecure_channel(os.environ["SAFELIGHT_ADDRESS"]) as channel:
        lines = []
        for line in digests(ImageServiceStub(channel)):
            print(line, flush=True)
            lines.append(line)
    if before:
        changed = sorted(set(lines) ^ set(before.read_text(encoding="utf-8").splitlines()))
        if changed:
            sys.exit("\n".join(["not the same as before:", *changed]))
        print(f"all {len(lines)} are as before", file=sys.stderr)


def digests(stub: ImageServiceStub) -> Iterator[str]:
    """A line for every model and path: the digest of its files, or the code with which the model refuses it."""
    models = stub.ListModels(pb.ListModelsRequest()).models
    for model in models:
        for name, fields in GENERATE.items():
            yield _line(stub.Generate, f"{model.name}: {name}", pb.GenerateRequest(**_filled(model, fields)))
        for name, fields in REFINE.items():
            yield _line(
                stub.Refine, f"{model.name}: {name}", pb.RefineRequest(image=_picture(), **_filled(model, fields))
            )
    for one, other in itertools.permutations(models, 2):
        fields = {**COMMON, "model": one.name, "refiner": {"model": other.name, "handoff": 0.5}}
        yield _line(stub.Generate, f"{one.name}, then {other.name}", pb.GenerateRequest(**fields))
    for model in models:
        yield f"{model.name}: previews  {_previews(stub, model)}"


def _filled(model: pb.Model, fields: dict[str, Any]) -> dict[str, Any]:
    mask = {"mask": _mask()} if fields.get("mask") else {}
    return {**COMMON, "model": model.name, **fields, **mask}


def _line(call: Any, name: str, request: Any) -> str:
    try:
        return f"{name}  {_digest(image.data for image in call(request).images)}"
    except grpc.RpcError as error:
        return f"{name}  {error.code().name}"


def _previews(stub: ImageServiceStub, model: pb.Model) -> str:
    """Of the last preview, after step 5 of 6: earlier ones may be skipped, the last is not."""
    if model.kind != pb.MODEL_KIND_BASE:
        return "-"
    request = pb.GenerateRequest(**COMMON, model=model.name)
    found = []
    for decoder in (pb.PREVIEW_DECODER_LINEAR, pb.PREVIEW_DECODER_UNSPECIFIED):
        events = stub.Stream(pb.StreamRequest(generate=request, preview={"decoder": decoder, "every_steps": 5}))
        found += [event.preview.data for event in events if event.HasField("preview")]
    return _digest(found)


def _digest(files: Any) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(data).digest() for data in files)).hexdigest()[:32]


def _picture() -> bytes:
    y, x = np.mgrid[0:128, 0:128]
    waves = np.stack([np.sin(x / 19), np.cos(y / 13), np.sin((x + y) / 31)], axis=-1)
    return _saved(Image.fromarray((waves * 100 + 128).astype(np.uint8)))


def _mask() -> bytes:
    y, x = np.mgrid[0:128, 0:128]
    return _saved(Image.fromarray(((x - 60) ** 2 + (y - 50) ** 2 < 900).astype(np.uint8) * 255))


def _saved(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    main()
