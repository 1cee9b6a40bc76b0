"""What a picture's file says of how it was drawn: the request, as the keyword arguments that draw it again."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from PIL import Image, UnidentifiedImageError

from .acceleration import Acceleration
from .arguments import JobTerms
from .image_input import file_bytes
from .options import Output, Refiner, SchedulerOptions, SizeConditioning
from .v1 import images_pb2 as pb
from .wire import plain

_NOT_DRAWN = {*JobTerms.__annotations__, "image", "mask"}
KEY = "safelight"  # of the text in a PNG
OLD_KEY = "parameters"  # where the first version had it
DESCRIPTION = 0x010E  # the EXIF tag that has it in JPEG and WebP


class NoRecipe(ValueError):
    """A file that does not say how it was drawn, or not in Safelight's way."""


def recipe(file: Any) -> dict[str, Any]:
    """The arguments that draw a picture of Safelight again: `client.generate(**recipe("apple.png"))`.

    `file` is whatever `refine` takes as a picture in a file: a path, bytes, an open file, a Picture. With "strength"
    among them, they are for `client.refine(image, **recipe(...))`, for the picture that was redrawn is not in the file.
    Raises NoRecipe, and OSError for a file that cannot be read.
    """
    data = file_bytes(file)
    if data is None:
        raise TypeError(f"a recipe is in a file: a path, bytes, an open file or a Picture, not {type(file).__name__}")
    text = _text_in(data)
    if text is None:
        raise NoRecipe(f"{_named(file)} does not say how it was drawn: it has no request of Safelight in it")
    try:
        request = ParseDict(json.loads(text), pb.RefineRequest(), ignore_unknown_fields=True)
    except (ValueError, ParseError) as error:
        raise NoRecipe(f"{_named(file)} says in a way that is not Safelight's how it was drawn: {error}") from None
    return arguments_of(request)


def arguments_of(request: pb.GenerateRequest | pb.RefineRequest) -> dict[str, Any]:
    """The arguments that ask for the same drawing: no pictures, and nothing of the job that it was."""
    fields = ((field.name, value) for field, value in request.ListFields() if field.name not in _NOT_DRAWN)
    return {name: _READERS.get(name, plain)(value) for name, value in fields}


def _text_in(data: bytes) -> str | None:
    """The request's JSON in a PNG's text, or in the EXIF of a JPEG or WebP."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()  # text may follow the pixels
            texts = getattr(image, "text", {})
            described = image.getexif().get(DESCRIPTION)
    except UnidentifiedImageError:
        raise NoRecipe(f"these {len(data)} bytes are no picture") from None
    except (SyntaxError, zlib.error) as error:
        raise NoRecipe(f"the picture is broken: {error}") from None
    found = texts.get(KEY) or texts.get(OLD_KEY) or described
    return str(found) if found and str(found).lstrip().startswith("{") else None


def _named(file: Any) -> str:
    return str(file) if isinstance(file, str) or hasattr(file, "__fspath__") else "the picture"


def _record(kind: Callable[..., Any]) -> Callable[[Message], Any]:
    """Reads a message into a dataclass whose fields carry the same names; what is not set is None there, too."""
    return lambda message: kind(**{field.name: _value(value) for field, value in message.ListFields()})


def _value(value: Any) -> Any:
    return tuple(_axes(value)) if isinstance(value, (pb.Size, pb.Point)) else plain(value)


def _axes(pair: Message) -> list[int]:
    return [getattr(pair, field.name) for field in pair.DESCRIPTOR.fields]


def _output(message: pb.OutputOptions) -> Output:
    name = pb.ImageFormat.Name(message.format).removeprefix("IMAGE_FORMAT_").lower()
    return Output("png" if name == "unspecified" else name, message.quality if message.HasField("quality") else None)  # type: ignore[arg-type]


_READERS: dict[str, Callable[[Any], Any]] = {
    "scheduler_options": _record(SchedulerOptions),
    "size_conditioning": _record(SizeConditioning),
    "refiner": _record(Refiner),
    "acceleration": _record(Acceleration),
    "output": _output,
    "priority": lambda value: pb.Priority.Name(value).removeprefix("PRIORITY_").lower(),
    "prompt_syntax": lambda value: pb.PromptSyntax.Name(value).removeprefix("PROMPT_SYNTAX_").lower(),
}
