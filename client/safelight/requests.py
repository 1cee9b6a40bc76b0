"""Turns keyword arguments into the messages that the server takes; what is None is not sent."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

from .acceleration import Acceleration
from .image_input import ImageInput
from .image_scaling import picture_files
from .pictures import SUFFIXES, Format
from .v1 import images_pb2 as pb
from .wire import duration

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Priority = Literal["interactive", "normal", "batch"]
Request = TypeVar("Request", pb.GenerateRequest, pb.RefineRequest)


@dataclass(frozen=True)
class Refiner:
    """A second model that takes the latents over on the way."""

    model: str
    handoff: float | None = None  # 0 to 1: the share of the noise that the first model takes away; server default 0.8


@dataclass(frozen=True)
class Output:
    """The file that the server makes of a picture."""

    format: Format = "png"
    quality: int | None = None  # 1 to 100, for JPEG and WebP; server default 90


@dataclass(frozen=True)
class SchedulerOptions:
    """Changes to the scheduler's configuration in the model."""

    use_karras_sigmas: bool | None = None
    timestep_spacing: Literal["leading", "trailing", "linspace"] | None = None
    eta: float | None = None  # DDIM's noise, 0 (none) to 1


@dataclass(frozen=True)
class SizeConditioning:
    """The size and crop that SDXL is conditioned on: sizes are (width, height), crops (x, y), in pixels."""

    original: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    target: tuple[int, int] | None = None
    negative_original: tuple[int, int] | None = None
    negative_crop: tuple[int, int] | None = None
    negative_target: tuple[int, int] | None = None
    aesthetic_score: float | None = None
    negative_aesthetic_score: float | None = None


@dataclass(frozen=True)
class Previews:
    """Which previews a stream brings."""

    every: int | None = None  # one every so many steps; 0: none; server default 1
    min_interval: float | None = None  # seconds: at most one in this time
    max_edge: int | None = None  # the longer edge in pixels, 16 to 1024; server default 256
    quality: int | None = None  # of the JPEG, 1 to 100; server default 80
    decoder: Literal["linear", "tiny"] | None = None  # server default: tiny where the model has it


class DrawOptions(TypedDict, total=False):
    """The keyword arguments of every call that draws. What is left out, or None, is the model's own default."""

    model: str | None  # a name from models(); default: the first there
    prompt_2: str | None  # for the second text encoder; default: the prompt
    negative_prompt: str | None  # takes effect when guidance_scale is above 1; "" is not the same as None
    negative_prompt_2: str | None
    width: int | None  # pixels
    height: int | None
    steps: int | None
    guidance_scale: float | None  # 1 or less turns guidance off, and halves the work
    guidance_rescale: float | None  # 0 to 1
    seed: int | None  # of the first picture, picture i has seed + i; default: drawn by lot, see Result.seeds
    num_images: int | None
    scheduler: str | None  # a name from models()
    scheduler_options: SchedulerOptions | None
    size_conditioning: SizeConditioning | None
    refiner: Refiner | str | None  # a str is the model's name
    output: Output | Format | None
    priority: Priority | None  # a second of "interactive" work counts as a fifth, of "batch" as five; default "normal"
    acceleration: Acceleration | None  # default: the exact picture


def generate_request(prompt: str, options: DrawOptions) -> pb.GenerateRequest:
    """The message for these arguments.

    Raises TypeError or ValueError, with the field's name, for a value that the message cannot hold.
    """
    return _fill(pb.GenerateRequest(), options, {"prompt": prompt})


def refine_request(
    image: ImageInput, prompt: str, mask: ImageInput | None, strength: float | None, options: DrawOptions
) -> pb.RefineRequest:
    """As generate_request, and raises what `picture_files` raises."""
    sized = options.get("width") is not None and options.get("height") is not None
    file, mask_file = picture_files(image, mask, sized=sized)
    more = {"prompt": prompt, "strength": strength, "image": file, "mask": mask_file}
    return _fill(pb.RefineRequest(), options, more)


def stream_request(
    prompt: str,
    image: ImageInput | None,
    mask: ImageInput | None,
    strength: float | None,
    previews: Previews | int | None,
    options: DrawOptions,
    max_image_bytes: int | None = None,
) -> pb.StreamRequest:
    """A stream of a Refine if there is an image, else of a Generate. Raises what these raise.

    TypeError for a mask or a strength without an image.
    """
    stream = pb.StreamRequest(preview=_preview_options(previews), max_image_bytes=max_image_bytes)
    if image is not None:
        stream.refine.CopyFrom(refine_request(image, prompt, mask, strength, options))
        return stream
    if mask is not None or strength is not None:
        raise TypeError("mask and strength say how to redraw an image, and there is no image")
    stream.generate.CopyFrom(generate_request(prompt, options))
    return stream


def _fill(message: Request, options: DrawOptions, more: Mapping[str, object]) -> Request:
    unknown = options.keys() - DrawOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"unexpected keyword argument {min(unknown)!r}")
    for name, value in {**options, **more}.items():
        if value is None:
            continue
        try:
            message.MergeFrom(type(message)(**{name: _WRITERS.get(name, _unchanged)(value)}))
        except (TypeError, ValueError, AttributeError) as fault:
            error = TypeError if isinstance(fault, AttributeError) else type(fault)
            raise error(f"{name}={reprlib.repr(value)}: {fault}") from None
    return message


def _preview_options(previews: Previews | int | None) -> pb.PreviewOptions | None:
    if previews is None:
        return None
    fields = _set_fields(previews if isinstance(previews, Previews) else Previews(every=previews))
    names = {"every": "every_steps"}
    writers: dict[str, Callable[[Any], Any]] = {"min_interval": duration, "decoder": _decoder}
    return pb.PreviewOptions(
        **{names.get(name, name): writers.get(name, _unchanged)(value) for name, value in fields.items()}
    )


def _set_fields(record: DataclassInstance) -> dict[str, Any]:
    fields = ((field.name, getattr(record, field.name)) for field in dataclasses.fields(record))
    return {name: value for name, value in fields if value is not None}


def _unchanged(value: Any) -> Any:
    return value


def _decoder(name: str) -> str:
    return f"PREVIEW_DECODER_{name.upper()}"


def _priority(name: str) -> str:
    return f"PRIORITY_{name.upper()}"


def _refiner(value: Refiner | str) -> dict[str, Any]:
    return _set_fields(Refiner(value) if isinstance(value, str) else value)


def _output(value: Output | str) -> dict[str, Any]:
    fields = {"format": value} if isinstance(value, str) else _set_fields(value)
    if fields["format"] not in SUFFIXES:
        raise ValueError(f"the format must be one of {', '.join(SUFFIXES)}")
    return fields | {"format": f"IMAGE_FORMAT_{fields['format'].upper()}"}


def _size_conditioning(value: SizeConditioning) -> dict[str, Any]:
    return {name: _AXES.get(name.rpartition("_")[2], _unchanged)(given) for name, given in _set_fields(value).items()}


def _size(pair: tuple[int, int]) -> dict[str, int]:
    width, height = pair
    return {"width": width, "height": height}


def _point(pair: tuple[int, int]) -> dict[str, int]:
    x, y = pair
    return {"x": x, "y": y}


_AXES: dict[str, Callable[[Any], Any]] = {"original": _size, "target": _size, "crop": _point}
_WRITERS: dict[str, Callable[[Any], Any]] = {
    "refiner": _refiner,
    "output": _output,
    "scheduler_options": _set_fields,
    "size_conditioning": _size_conditioning,
    "priority": _priority,
    "acceleration": _set_fields,
}
