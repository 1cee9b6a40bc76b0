"""A picture's claim of how it was drawn, and whether it holds."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.json_format import ParseDict, ParseError
from PIL import Image
from safelight.v1 import images_pb2 as images
from safelight.v1 import jobs_pb2 as pb

from safelight_server.arrays import Pixels
from safelight_server.errors import InvalidRequest, Violation

from .requests import asked_in
from .stored import UPLOADS

KEY = "safelight-receipt"
TEXTS = {"safelight_version": "safelight", "openvino_version": "openvino", "processor": "processor"}


class Claim(NamedTuple):
    """`request` draws the picture again; `pixels` (height, width, 3) are those of the file, if there is one."""

    receipt: images.Receipt
    request: Any
    pixels: Pixels | None

    def verdict(self, file: bytes, receipt: images.Receipt) -> pb.VerifyResponse:
        """The claim beside what was drawn just now: its file and its receipt."""
        claimed, found = self.receipt, receipt
        same = claimed.pixels_sha256 == found.pixels_sha256
        answer = pb.VerifyResponse(same=same, receipt=found, differs=_differences(claimed, found))
        if self.pixels is not None:
            drawn = _pixels(file)
            answer.same = drawn.shape == self.pixels.shape and bool((drawn == self.pixels).all())
            if drawn.shape == self.pixels.shape:
                answer.max_difference = int(np.abs(drawn.astype(np.int16) - self.pixels).max())
            if not answer.same and same:
                answer.differs.append("pixels: the file's are not those of its own receipt")
        return answer


def read(request: pb.VerifyRequest) -> Claim:
    """Raises InvalidRequest for what cannot be drawn again."""
    receipt = request.receipt if request.HasField("receipt") else _receipt(request.file)
    if receipt.WhichOneof("request") is None:
        raise InvalidRequest([Violation("receipt", "must have a request: generate or refine")])
    for field, value in (
        ("forked_from", receipt.forked_from),
        ("finished_early_at_step", receipt.finished_early_at_step),
    ):
        if value:
            rule = f"must not be set, and is {value}: only a whole drawing can be drawn again by its receipt"
            raise InvalidRequest([Violation(f"receipt.{field}", rule)])
    asked = asked_in(receipt)
    asked.output.format = images.IMAGE_FORMAT_PNG  # which loses nothing
    asked.on_disconnect = images.ON_DISCONNECT_CANCEL
    for field in UPLOADS if isinstance(asked, images.RefineRequest) else ():
        file, digest = getattr(request, field), getattr(receipt, f"{field}_sha256")
        if hashlib.sha256(file).hexdigest() != digest and (file or digest):
            raise InvalidRequest([Violation(field, f"must be the file whose SHA-256 is {digest or 'none'}")])
        setattr(asked, field, file)
    return Claim(receipt, asked, _pixels(request.file) if request.file else None)


def _receipt(file: bytes) -> images.Receipt:
    try:
        with Image.open(io.BytesIO(file)) as picture:
            text = getattr(picture, "text", {})[KEY]
        return ParseDict(json.loads(text), images.Receipt(), ignore_unknown_fields=True)
    except KeyError:
        rule = f"must be a PNG with the text {KEY}, or `receipt` must be set: there is none in this one"
    except (OSError, ValueError, SyntaxError, ParseError) as error:
        rule = f"must be a PNG with the text {KEY}, or `receipt` must be set: {error}"
    raise InvalidRequest([Violation("file", rule)])


def _pixels(file: bytes) -> Pixels:
    with Image.open(io.BytesIO(file)) as picture:
        return np.asarray(picture.convert("RGB"))


def _differences(there: images.Receipt, here: images.Receipt) -> list[str]:
    found = [
        f"{name}: {getattr(there, field)} there, {getattr(here, field)} here"
        for field, name in TEXTS.items()
        if getattr(there, field) != getattr(here, field)
    ]
    for theirs, ours in zip(there.models, here.models, strict=False):
        for field in ("seal", "precision", "device"):
            if getattr(theirs, field) != getattr(ours, field):
                found.append(f"{ours.name}: {field} {getattr(theirs, field)!r} there, {getattr(ours, field)!r} here")
    return found
