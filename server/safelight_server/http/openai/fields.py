"""The fields of OpenAI's images API, and ours beside them, to a request of the contract, by a table."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from safelight.v1 import images_pb2 as pb

from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.errors import InvalidRequest, Violation

FORMATS = {
    "png": pb.IMAGE_FORMAT_PNG,
    "jpeg": pb.IMAGE_FORMAT_JPEG,
    "jpg": pb.IMAGE_FORMAT_JPEG,
    "webp": pb.IMAGE_FORMAT_WEBP,
}
QUALITIES = {  # as asked for: as it is told. Only the last two leave work out
    **dict.fromkeys(("auto", "high", "standard", "hd"), "high"),
    "xhigh": "xhigh",
    "max": "max",
    "medium": "medium",
    "low": "low",
}
LESS_WORK = {  # DeepCache's interval, the guided share of the steps, the tiny decoder
    "medium": (2, None, False),
    "low": (3, 0.6, True),
}
PRIORITIES = {
    "interactive": pb.PRIORITY_INTERACTIVE,
    "normal": pb.PRIORITY_NORMAL,
    "batch": pb.PRIORITY_BATCH,
}
IGNORED = ("moderation", "style", "user", "safety_identifier", "input_fidelity", "complexity")
REFUSED = {
    "markup": "is not drawn by this server",
    "frame_count": "is not drawn by this server: it makes single pictures",
    "frame_duration_ms": "is not drawn by this server: it makes single pictures",
    "svg": "is not drawn by this server: it makes PNG, JPEG and WebP",
}
FILES = ("image", "image[]", "mask", "mask[]")  # what is read beside the fields
MOST_PARTIAL = 3
# Whose fault it is when the contract's own check finds a bad field.
PARAMS = {
    "width": "size",
    "height": "size",
    "num_images": "n",
    "output.format": "output_format",
    "output.quality": "output_compression",
    "acceleration.deep_cache_interval": "quality",
    "acceleration.guidance_until": "quality",
    "acceleration.tiny_decoder": "quality",
    "refiner.model": "refiner",
    "refiner.handoff": "refiner",
}


class UnknownParameter(InvalidRequest):
    """A field that neither OpenAI nor this server has: what it was meant to change would be missing in silence."""

    reason = "UNKNOWN_PARAMETER"


@dataclass
class Order:
    """What was asked for. `names` are the caller's own words for fields of the contract."""

    asked: Any
    stream: bool = False
    partial_images: int = 0
    url: bool = False  # the pictures are to be told by their address
    quality: str = "auto"
    background: str = "auto"
    output_format: str = "png"
    names: dict[str, str] = field(default_factory=dict)


class Bad(ValueError):
    """A value that its field does not take; the text is the rule."""


def read(values: Mapping[str, Any], asked: Any) -> Order:
    """Fills `asked`, a GenerateRequest or a RefineRequest. Raises InvalidRequest with every bad field."""
    order, bad = Order(asked), []
    unknown = [name for name in values if name not in (*FIELDS, *IGNORED, *REFUSED, *FILES)]
    for name, value in values.items():
        if value is None or name in IGNORED or name in FILES:
            continue
        try:
            if name in REFUSED:
                raise Bad(REFUSED[name])
            if name in FIELDS:
                FIELDS[name](order, name, value)
        except Bad as error:
            bad.append(Violation(name, str(error)))
    bad += [Violation(name, "is not a parameter here") for name in unknown]
    if bad:
        raise (UnknownParameter if len(bad) == len(unknown) else InvalidRequest)(bad)
    return order


def apply_quality(order: Order, infos: Mapping[str, ModelInfo]) -> None:
    """Leaves out what the quality allows, as far as the model can."""
    less = LESS_WORK.get(order.quality)
    info = infos.get(order.asked.model or next(iter(infos)))
    if less is None or info is None:
        return
    last = infos.get(order.asked.refiner.model, info)
    interval, guided, tiny = less
    guidance = order.asked.guidance_scale if order.asked.HasField("guidance_scale") else info.config.guidance
    done = order.asked.acceleration
    if info.has_deep_cache and last.has_deep_cache:
        done.deep_cache_interval = interval
    if guided is not None and guidance > 1:
        done.guidance_until = guided
    done.tiny_decoder = tiny and last.config.has_tiny_decoder


# ---- how the fields are read: each function puts one value into its place, or raises Bad ----

Put = Callable[[Order, str, Any], None]


def text_of(value: Any) -> str:
    if not isinstance(value, str):
        raise Bad(f"must be a text, not {value!r:.80}")
    return value


def integer_of(value: Any) -> int:
    """A whole number; a form has it as a text."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,19}\s*", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise Bad(f"must be a whole number, not {value!r:.80}")
    return int(value)


def number_of(value: Any) -> float:
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise Bad(f"must be a number, not {value!r:.80}")
    return number


def truth_of(value: Any) -> bool:
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise Bad(f"must be true or false, not {value!r:.80}")


def choice_of(value: Any, among: Mapping[str, Any]) -> str:
    told = text_of(value).lower()
    if told not in among:
        raise Bad(f"must be one of {', '.join(among)}, not {told[:80]!r}")
    return told


def _plain(name: str, kind: Callable[[Any], Any]) -> Put:
    """A field of the contract, maybe under another name."""

    def put(order: Order, told: str, value: Any) -> None:
        if name not in order.asked.DESCRIPTOR.fields_by_name:
            raise Bad("is for edits: there is no picture to start from")
        order.names[name] = told
        try:
            setattr(order.asked, name, kind(value))
        except (ValueError, TypeError, UnicodeEncodeError):
            raise Bad(f"is out of its range: {value!r:.80}") from None

    return put


def _seed(order: Order, told: str, value: Any) -> None:
    if (seed := integer_of(value)) != -1:  # by lot, as many programs write it
        _plain("seed", integer_of)(order, told, seed)


def _size(order: Order, told: str, value: Any) -> None:
    size = text_of(value)
    if size == "auto":
        return
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
    if not found:
        raise Bad(f"must be auto or WIDTHxHEIGHT, not {size[:80]!r}")
    order.asked.width, order.asked.height = int(found[1]), int(found[2])


def _format(order: Order, told: str, value: Any) -> None:
    name = choice_of(value, FORMATS)
    order.output_format = "jpeg" if name == "jpg" else name
    order.asked.output.format = FORMATS[name]


def _compression(order: Order, told: str, value: Any) -> None:
    quality = integer_of(value)
    if not 0 <= quality <= 100:
        raise Bad(f"must be from 0 to 100, not {quality}")
    order.asked.output.quality = max(1, quality)


def _background(order: Order, told: str, value: Any) -> None:
    if text_of(value) not in ("auto", "opaque"):
        raise Bad(f"must be auto or opaque, not {value[:80]!r}: this server draws no transparency")
    order.background = value


def _priority(order: Order, told: str, value: Any) -> None:
    order.asked.priority = PRIORITIES[choice_of(value, PRIORITIES)]


def _refiner(order: Order, told: str, value: Any) -> None:
    stage = {"model": value} if isinstance(value, str) else value
    if not isinstance(stage, dict) or "model" not in stage or stage.keys() - {"model", "handoff"}:
        raise Bad('must be a model, or {"model": NAME, "handoff": 0 to 1}')
    try:
        order.asked.refiner.model = text_of(stage["model"])
    except UnicodeEncodeError:
        raise Bad("must be a model") from None
    if stage.get("handoff") is not None:
        order.asked.refiner.handoff = number_of(stage["handoff"])


def _partial(order: Order, told: str, value: Any) -> None:
    order.partial_images = integer_of(value)
    if not 0 <= order.partial_images <= MOST_PARTIAL:
        raise Bad(f"must be from 0 to {MOST_PARTIAL}, not {order.partial_images}")


def _quality(order: Order, told: str, value: Any) -> None:
    order.quality = choice_of(value, QUALITIES)


def _stream(order: Order, told: str, value: Any) -> None:
    order.stream = truth_of(value)


def _response_format(order: Order, told: str, value: Any) -> None:
    order.url = choice_of(value, {"b64_json": 0, "url": 1}) == "url"


FIELDS: Mapping[str, Put] = {
    "prompt": _plain("prompt", text_of),
    "model": _plain("model", text_of),
    "n": _plain("num_images", integer_of),
    "size": _size,
    "quality": _quality,
    "output_format": _format,
    "output_compression": _compression,
    "background": _background,
    "response_format": _response_format,
    "stream": _stream,
    "partial_images": _partial,
    # ours, under the names that OVMS, vLLM-Omni and SGLang have for them
    "seed": _seed,
    "rng_seed": _seed,
    "steps": _plain("steps", integer_of),
    "num_inference_steps": _plain("steps", integer_of),
    "guidance_scale": _plain("guidance_scale", number_of),
    "negative_prompt": _plain("negative_prompt", text_of),
    "scheduler": _plain("scheduler", text_of),
    "strength": _plain("strength", number_of),
    "priority": _priority,
    "refiner": _refiner,
}
