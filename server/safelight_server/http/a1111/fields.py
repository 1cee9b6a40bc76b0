"""The fields of txt2img and img2img to a request of the contract. Bad is what changes pictures and is not here."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from safelight.v1 import images_pb2 as pb

from safelight_server.errors import InvalidRequest, Violation
from safelight_server.http.failures import bad

from .names import model_of, put_sampler

STRENGTH, MASK_BLUR = 0.75, 4.0  # what A1111 takes where nothing is told
NOT_HERE = "changes the picture, and is not here"


class Mask(NamedTuple):
    file: bytes
    invert: bool
    blur: float


def read(values: Mapping[str, Any], default_model: str, *, from_picture: bool) -> tuple[Any, Mask | None]:
    """The request, without its mask, which is still in A1111's form. Raises InvalidRequest with every bad field."""
    asked: Any = pb.RefineRequest() if from_picture else pb.GenerateRequest()
    found = [Violation(name, NOT_HERE) for name, is_used in REFUSED.items() if is_used(values.get(name))]
    mask: list[Mask] = []

    def work(step: Callable[[], Any]) -> None:
        try:
            step()
        except InvalidRequest as error:
            found.extend(error.violations)

    settings = values.get("override_settings") or {}
    if not isinstance(settings, dict):
        raise bad("override_settings", "must be an object")
    found += [Violation(f"override_settings.{name}", NOT_HERE) for name in _other_vae(settings)]
    asked.prompt_syntax = pb.PROMPT_SYNTAX_WEIGHTED
    chosen = model_of(str(settings.get("sd_model_checkpoint") or default_model))
    work(lambda: _put(asked, "model", "override_settings.sd_model_checkpoint", _text, chosen))
    for name, (ours, kind) in PLAIN.items():
        if values.get(name) is not None and ours in asked.DESCRIPTOR.fields_by_name:
            work(lambda name=name, ours=ours, kind=kind: _put(asked, ours, name, kind, values[name]))  # type: ignore[misc]
    work(lambda: _count(asked, values))
    work(lambda: _sampler(asked, values))
    work(lambda: _refiner(asked, values))
    if from_picture:
        asked.strength = asked.strength if asked.HasField("strength") else STRENGTH
        work(lambda: _picture(asked, values))
        work(lambda: mask.extend(_mask(values)))
    if found:
        raise InvalidRequest(found)
    return asked, mask[0] if mask else None


# ---- what is refused: by what of a field is in use ----


def _is_on(value: Any) -> bool:
    return bool(value) and value not in ("None", "none")


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0


def _is_not_one(value: Any) -> bool:
    return value is not None and value != 1


def _has_scripts(value: Any) -> bool:
    """Extensions send their arguments even while they are off: then all of them are false."""
    entries = value.values() if isinstance(value, dict) else [value] if value else []
    return any(any(entry.get("args") or ()) if isinstance(entry, dict) else bool(entry) for entry in entries)


def _is_beyond(most: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and value > most


REFUSED: Mapping[str, Callable[[Any], bool]] = {
    "enable_hr": _is_on,
    "script_name": _is_on,
    "alwayson_scripts": _has_scripts,
    "tiling": _is_on,
    "restore_faces": _is_on,
    "styles": _is_on,
    "subseed_strength": _is_positive,
    "seed_resize_from_w": _is_positive,
    "seed_resize_from_h": _is_positive,
    "s_churn": _is_positive,
    "s_noise": _is_not_one,
    "initial_noise_multiplier": _is_not_one,
    "resize_mode": _is_positive,
    "inpainting_fill": _is_beyond(1),
    "latent_mask": _is_on,
}


def _other_vae(settings: Mapping[str, Any]) -> list[str]:
    return ["sd_vae"] if str(settings.get("sd_vae") or "Automatic") not in ("Automatic", "None") else []


# ---- how the others are read ----


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise ValueError("a whole number")
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


PLAIN: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "prompt": ("prompt", _text),
    "negative_prompt": ("negative_prompt", _text),
    "steps": ("steps", _whole),
    "cfg_scale": ("guidance_scale", _number),
    "width": ("width", _whole),
    "height": ("height", _whole),
    "seed": ("seed", _whole),
    "denoising_strength": ("strength", _number),
}


def _put(asked: Any, ours: str, name: str, kind: Callable[[Any], Any], value: Any) -> None:
    if name == "seed" and value == -1:  # by lot
        return
    try:
        read = kind(value)
    except ValueError as error:
        raise bad(name, f"must be {error}, not {value!r:.80}") from None
    try:
        setattr(asked, ours, read)
    except (ValueError, TypeError):
        raise bad(name, f"is out of its range: {value!r:.80}") from None


def _count(asked: Any, values: Mapping[str, Any]) -> None:
    count = 1
    for name in ("batch_size", "n_iter"):
        value = values.get(name)
        if value is not None and not (isinstance(value, int) and 1 <= value <= 1000):
            raise bad(name, f"must be a whole number from 1 on, not {value!r:.80}")
        count *= value or 1
    asked.num_images = count


def _sampler(asked: Any, values: Mapping[str, Any]) -> None:
    sampler = values.get("sampler_name") or values.get("sampler_index") or ""
    put_sampler(asked, str(sampler), str(values.get("scheduler") or ""))
    if asked.scheduler in ("ddim", "tcd") and values.get("eta") is not None:
        asked.scheduler_options.eta = _number_of("eta", values)


def _refiner(asked: Any, values: Mapping[str, Any]) -> None:
    name = str(values.get("refiner_checkpoint") or "None")
    if name == "None":
        return
    _put(asked.refiner, "model", "refiner_checkpoint", _text, model_of(name))
    if values.get("refiner_switch_at") is not None:
        asked.refiner.handoff = _number_of("refiner_switch_at", values)


def _picture(asked: Any, values: Mapping[str, Any]) -> None:
    pictures = values.get("init_images")
    if not isinstance(pictures, list) or len(pictures) != 1:
        raise bad("init_images", "must be a list of one picture")
    asked.image = _file("init_images", pictures[0])


def _mask(values: Mapping[str, Any]) -> list[Mask]:
    if not values.get("mask"):
        return []
    blur = _number_of("mask_blur", values) if values.get("mask_blur") is not None else MASK_BLUR
    if not 0 <= blur <= 64:
        raise bad("mask_blur", f"must be from 0 to 64, not {blur:g}")
    return [Mask(_file("mask", values["mask"]), bool(values.get("inpainting_mask_invert")), blur)]


def _number_of(name: str, values: Mapping[str, Any]) -> float:
    try:
        return _number(values[name])
    except ValueError as error:
        raise bad(name, f"must be {error}, not {values[name]!r:.80}") from None


def _file(name: str, value: Any) -> bytes:
    """Base64, alone or as a data URI."""
    text = value if isinstance(value, str) else ""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad(name, f"must be a picture as base64: {error}") from None
