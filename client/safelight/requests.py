"""Turns keyword arguments into the messages that the server takes; what is None is not sent."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from .arguments import DrawOptions
from .image_input import ImageInput
from .image_scaling import picture_files
from .options import Output, Previews, Refiner, SizeConditioning
from .pictures import SUFFIXES
from .v1 import images_pb2 as pb
from .wire import duration

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

BY_LOT = -1  # as a seed: what others say for "not set"

Request = TypeVar("Request", pb.GenerateRequest, pb.RefineRequest)


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
    stream = pb.StreamRequest(preview=preview_options(previews), max_image_bytes=max_image_bytes)
    if image is not None:
        stream.refine.CopyFrom(refine_request(image, prompt, mask, strength, options))
        return stream
    if mask is not None or strength is not None:
        raise TypeError("mask and strength say how to redraw an image, and there is no image")
    stream.generate.CopyFrom(generate_request(prompt, options))
    return stream


def _fill(message: Request, options: DrawOptions, more: Mapping[str, object]) -> Request:
    for name, value in {**options, **more}.items():
        if value is None or (name == "seed" and value == BY_LOT):
            continue
        try:
            message.MergeFrom(type(message)(**{name: _WRITERS.get(name, _unchanged)(value)}))
        except (TypeError, ValueError, AttributeError) as fault:
            error = TypeError if isinstance(fault, AttributeError) else type(fault)
            raise error(f"{name}={reprlib.repr(value)}: {fault}") from None
    return message


def preview_options(previews: Previews | int | None) -> pb.PreviewOptions | None:
    """The message for `previews`: every so many steps, or all that there is to say."""
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


def _prompt_syntax(name: str) -> str:
    return f"PROMPT_SYNTAX_{name.upper()}"


def _on_disconnect(name: str) -> str:
    return f"ON_DISCONNECT_{name.upper()}"


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
    "prompt_syntax": _prompt_syntax,
    "on_disconnect": _on_disconnect,
    "grace": duration,
    "retain": duration,
}
