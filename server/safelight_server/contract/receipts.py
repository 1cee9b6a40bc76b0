"""A picture's claim of how it was drawn, and whether it holds."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.json_format import ParseDict, ParseError
from safelight.v1 import images_pb2 as images
from safelight.v1 import jobs_pb2 as pb

from safelight_server.arrays import Pixels
from safelight_server.errors import InvalidRequest, Violation
from safelight_server.images import png
from safelight_server.images.budget import judge
from safelight_server.images.decoder import pixels_of
from safelight_server.images.files import RECEIPT
from safelight_server.images.header import BadPicture, Header

from .requests import asked_in
from .stored import UPLOADS

TEXTS = {"safelight_version": "safelight", "openvino_version": "openvino", "processor": "processor"}


class Claim(NamedTuple):
    """`request` draws the picture again; `pixels` (height, width, 3) are those of the file, if there is one."""

    receipt: images.Receipt
    request: Any
    pixels: Pixels | None

    def verdict(self, file: bytes, receipt: images.Receipt) -> pb.VerifyResponse:
        """The claim beside what was drawn just now: its file and its receipt. Takes a moment: call it in a thread."""
        claimed, found = self.receipt, receipt
        same = claimed.pixels_sha256 == found.pixels_sha256
        answer = pb.VerifyResponse(same=same, receipt=found, differs=_differences(claimed, found))
        if self.pixels is not None:
            drawn = _pixels(judge(file))
            answer.same = drawn.shape == self.pixels.shape and bool((drawn == self.pixels).all())
            if drawn.shape == self.pixels.shape:
                answer.max_difference = int(np.abs(drawn.astype(np.int16) - self.pixels).max())
            if not answer.same and same:
                answer.differs.append("pixels: the file's are not those of its own receipt")
        return answer


def read(request: pb.VerifyRequest) -> Claim:
    """Unpacks the file, so it takes a moment: call it by Desk.check.

    Raises InvalidRequest for what cannot be drawn again, and PicturesWaiting.
    """
    header = _header(request.file) if request.file else None
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
    return Claim(receipt, asked, None if header is None else _pixels(header))


def _header(file: bytes) -> Header:
    try:
        return judge(file)
    except BadPicture as error:
        raise InvalidRequest([Violation("file", str(error))]) from None


def _receipt(file: bytes) -> images.Receipt:
    """That in a PNG. Raises InvalidRequest where there is none."""
    text = png.text(file, RECEIPT) if file.startswith(png.SIGNATURE) else None
    why = "there is none in this file"
    try:
        if text is not None:
            return ParseDict(json.loads(text), images.Receipt(), ignore_unknown_fields=True)
    except (ValueError, RecursionError, ParseError) as error:
        why = str(error)[:200]
    rule = f"must be a PNG with the text {RECEIPT}, or `receipt` must be set: {why}"
    raise InvalidRequest([Violation("file", rule)])


def _pixels(header: Header) -> Pixels:
    try:
        return pixels_of(header, "RGB", header.upright)
    except BadPicture as error:
        raise InvalidRequest([Violation("file", str(error))]) from None


def _differences(there: images.Receipt, here: images.Receipt) -> list[str]:
    found = [
        f"{name}: {getattr(there, field)} there, {getattr(here, field)} here"
        for field, name in TEXTS.items()
        if getattr(there, field) != getattr(here, field)
    ]
    for theirs, ours in zip(there.models, here.models, strict=False):
        for field in ("seal", "precision", "device", "surgery"):
            if getattr(theirs, field) != getattr(ours, field):
                found.append(f"{ours.name}: {field} {getattr(theirs, field)!r} there, {getattr(ours, field)!r} here")
        for part in sorted(theirs.precisions.keys() & ours.precisions.keys()):  # older receipts tell the UNet's alone
            if part != "unet" and theirs.precisions[part] != ours.precisions[part]:
                before, now = theirs.precisions[part], ours.precisions[part]
                found.append(f"{ours.name}: {part} in {before} there, in {now} here")
    return found
