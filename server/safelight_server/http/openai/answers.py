"""What OpenAI's clients read, in the shapes that they are strict about: pictures, events, models and errors."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from PIL import Image as Picture
from starlette.responses import Response

from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.errors import JobError
from safelight_server.events import Image, Started
from safelight_server.http.failures import Json, retry_headers
from safelight_server.http.staying import event
from safelight_server.messages import events as messages

from .fields import QUALITIES, Order

NO_RETRY = ("INTERNAL", "DEADLINE_EXCEEDED", "CANCELLED")  # a second try would draw twice
BEGAN = int(time.time())


class Shape:
    """What all answers of one drawing have in common; the fields are always all there."""

    def __init__(self, order: Order, started: Started, tokens: int) -> None:
        self._order = order
        self.common = {
            "size": "{1}x{0}".format(*started.size),
            "quality": QUALITIES[order.quality],
            "background": "opaque",
            "output_format": order.output_format,
        }
        details = {"image_tokens": 0, "text_tokens": tokens}
        output = {"image_tokens": 0, "text_tokens": 0}
        self.usage = {
            "input_tokens": tokens,
            "output_tokens": 0,
            "total_tokens": tokens,
            "input_tokens_details": details,
            "output_tokens_details": output,
        }
        self.told: dict[str, Any] = {"warnings": list(started.warnings)} if started.warnings else {}
        if left_out := messages.acceleration(started.acceleration):
            self.told["acceleration"] = MessageToDict(left_out, preserving_proto_field_name=True)

    def answer(self, images: Sequence[Image], urls: Sequence[str] = ()) -> dict[str, Any]:
        """Of a request without a stream. `urls` only if they were asked for: some clients then ignore the picture."""
        data: list[dict[str, Any]] = [
            {"url": url, "seed": image.seed} for image, url in zip(images, urls, strict=False)
        ] or [{"b64_json": b64(image.data), "seed": image.seed} for image in images]
        return {"created": int(time.time()), "data": data, **self.common, "usage": self.usage, **self.told}

    def partial(self, kind: str, index: int, data: bytes) -> bytes:
        return self._event(f"{kind}.partial_image", data, {"partial_image_index": index})

    def completed(self, kind: str, data: bytes) -> bytes:
        return self._event(f"{kind}.completed", data, {"usage": self.usage, **self.told})

    def _event(self, name: str, data: bytes, more: Mapping[str, Any]) -> bytes:
        told = {"type": name, "b64_json": b64(data), "created_at": int(time.time()), **self.common, **more}
        return event(name, json.dumps(told))


def in_format(jpeg: bytes, format: str) -> bytes:
    """A preview in the format that was asked for: some clients write it to a file as it comes."""
    if format == "jpeg" or not jpeg:
        return jpeg
    file = io.BytesIO()
    options: dict[str, Any] = {"compress_level": 1} if format == "png" else {"quality": 80}
    with Picture.open(io.BytesIO(jpeg)) as picture:
        picture.save(file, format, **options)
    return file.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def tokens_of(prompt: str, info: ModelInfo | None) -> int:
    """Of a prompt, as the model counts them, without what frames and fills them up."""
    if info is None or info.tokenizer is None:
        return 0
    return sum(id not in (chunk.ids[0], chunk.ids[-1]) for chunk in info.tokenizer.literal(prompt) for id in chunk.ids)


def model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": BEGAN, "owned_by": "safelight"}


def error_of(error: JobError, status: int) -> dict[str, Any]:
    param = error.violations[0].field if error.violations else None
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    return {"error": {"message": str(error), "type": kind, "param": param, "code": error.reason.lower()}}


def failure(error: JobError, status: int) -> Response:
    """Both SDKs try 409 again, which never means that here."""
    status = 422 if status == 409 else status
    headers = retry_headers(error)
    if error.code in NO_RETRY:
        headers["x-should-retry"] = "false"
    return Json(error_of(error, status), status, headers)
