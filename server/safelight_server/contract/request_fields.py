"""What Generate and Refine have in common: each function checks a few fields, fills in defaults, and gives their value.

What is bad is counted in the FieldReader, and the default stands in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from safelight.v1 import images_pb2 as pb

from safelight_server.arrays import Hw
from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.diffusion.prompt_syntax import BadWeight
from safelight_server.jobs import Acceleration, Format, Output, Previews, Priority, Prompts, Scheduler, Sizes
from safelight_server.samplers.names import canonical
from safelight_server.samplers.table import NAMES, SAMPLERS

from .field_reader import FieldReader

LONGEST_PROMPT = 8192
LARGEST_SIZE = 16384
LEAST_PIECE = 4096  # bytes of a picture in a message
SPACINGS = ("leading", "linspace", "trailing")
FORMATS: dict[int, Format] = {
    pb.IMAGE_FORMAT_UNSPECIFIED: "png",
    pb.IMAGE_FORMAT_PNG: "png",
    pb.IMAGE_FORMAT_JPEG: "jpeg",
    pb.IMAGE_FORMAT_WEBP: "webp",
}
PRIORITIES: dict[int, Priority] = {
    pb.PRIORITY_UNSPECIFIED: Priority.NORMAL,
    pb.PRIORITY_INTERACTIVE: Priority.INTERACTIVE,
    pb.PRIORITY_NORMAL: Priority.NORMAL,
    pb.PRIORITY_BATCH: Priority.BATCH,
}
SYNTAXES: dict[int, bool] = {  # whether there are weights
    pb.PROMPT_SYNTAX_UNSPECIFIED: False,
    pb.PROMPT_SYNTAX_LITERAL: False,
    pb.PROMPT_SYNTAX_WEIGHTED: True,
}
PROMPTS = ("prompt", "prompt_2", "negative_prompt", "negative_prompt_2")
TINY: dict[int, bool | None] = {
    pb.PREVIEW_DECODER_UNSPECIFIED: None,
    pb.PREVIEW_DECODER_LINEAR: False,
    pb.PREVIEW_DECODER_TINY: True,
}


def prompts(fields: FieldReader, models: Sequence[ModelInfo]) -> Prompts:
    """Where the second encoder has no text of its own, it reads the first one's. `models`: all that read them."""
    syntax = fields.message.prompt_syntax
    if syntax not in SYNTAXES:
        fields.bad("prompt_syntax", f"must be one of {', '.join(pb.PromptSyntax.keys())}, not {syntax}")
    weighted = SYNTAXES.get(syntax, False)
    if weighted:
        _check_weighted(fields, models)
    prompt = fields.text("prompt", LONGEST_PROMPT)
    negative = fields.text("negative_prompt", LONGEST_PROMPT) if fields.has("negative_prompt") else None
    return Prompts(
        prompt=prompt,
        prompt_2=fields.text("prompt_2", LONGEST_PROMPT) or prompt,
        negative=negative,
        negative_2=fields.text("negative_prompt_2", LONGEST_PROMPT) or negative,
        weighted=weighted,
    )


def _check_weighted(fields: FieldReader, models: Sequence[ModelInfo]) -> None:
    """Of weighted prompts nothing is cut: what no model of the job reads whole is bad."""
    shortest = min(models, key=lambda info: info.limits.max_chunks)
    tokenizer = shortest.tokenizer
    if tokenizer is None:
        return
    most = tokenizer.chunk_size * shortest.limits.max_chunks
    for field in PROMPTS:
        text = getattr(fields.message, field)
        if len(text) > LONGEST_PROMPT:
            continue  # that is told
        try:
            tokens = tokenizer.count(text)
        except BadWeight as error:
            fields.bad(field, str(error))
            continue
        if tokens > most:
            whose = f"{shortest.name} reads no more, even with prompt_syntax weighted"
            fields.bad(field, f"must have at most {most} tokens, not {tokens}: {whose}")


def scheduler(fields: FieldReader, info: ModelInfo) -> Scheduler:
    """By default the model's own. Whether it takes so many steps is found out when the plan is made."""
    options = fields.part("scheduler_options")
    asked = fields.message.scheduler
    name = canonical(asked) if asked else info.config.scheduler
    if name not in SAMPLERS:
        fields.bad("scheduler", f"must be {NAMES}, not {asked[:80]!r}")
        name = info.config.scheduler  # so that what else is bad is found, too
    spacing = options.choice("timestep_spacing", "", ("", *SPACINGS)) or None
    karras = options.message.use_karras_sigmas if options.has("use_karras_sigmas") else None
    return Scheduler(name, karras, spacing, options.number("eta", 0, 0, 1) if options.has("eta") else None)


def sizes(fields: FieldReader) -> Sizes:
    """A size that is not set stays None: what it then is depends on the kind of model."""
    part = fields.part("size_conditioning")
    return Sizes(
        original=_hw(part, "original"),
        crop=_corner(part, "crop"),
        target=_hw(part, "target"),
        negative_original=_hw(part, "negative_original"),
        negative_crop=_corner(part, "negative_crop"),
        negative_target=_hw(part, "negative_target"),
        aesthetic=part.number("aesthetic_score", 6.0, 0, 10),
        negative_aesthetic=part.number("negative_aesthetic_score", 2.5, 0, 10),
    )


def _hw(fields: FieldReader, name: str) -> Hw | None:
    if not fields.has(name):
        return None
    size = getattr(fields.message, name)
    for edge in ("width", "height"):
        if not 1 <= getattr(size, edge) <= LARGEST_SIZE:
            fields.bad(f"{name}.{edge}", f"must be from 1 to {LARGEST_SIZE}, not {getattr(size, edge)}")
    return size.height, size.width


def _corner(fields: FieldReader, name: str) -> Hw:
    point = getattr(fields.message, name)
    for axis in ("x", "y"):
        if getattr(point, axis) > LARGEST_SIZE:
            fields.bad(f"{name}.{axis}", f"must be at most {LARGEST_SIZE}, not {getattr(point, axis)}")
    return point.y, point.x


def output(fields: FieldReader) -> Output:
    """PNG by default."""
    part = fields.part("output")
    if part.message.format not in FORMATS:
        part.bad("format", f"must be one of {', '.join(pb.ImageFormat.keys())}, not {part.message.format}")
    return Output(FORMATS.get(part.message.format, "png"), part.integer("quality", 90, 1, 100))


def acceleration(fields: FieldReader, first: ModelInfo, last: ModelInfo) -> Acceleration:
    """`first` and `last` are the models that the job begins and ends on: they must have what is asked for."""
    part = fields.part("acceleration")
    interval = part.message.deep_cache_interval
    if interval > 1 and (missing := [info.name for info in (first, last) if not info.has_deep_cache]):
        part.bad("deep_cache_interval", f"must be 0 for {missing[0]}, which is not cut for it, not {interval}")
    elif interval > first.limits.max_steps:
        part.bad("deep_cache_interval", f"must be at most {first.limits.max_steps}, not {interval}")
    if part.message.tiny_decoder and not last.config.has_tiny_decoder:
        part.bad("tiny_decoder", f"must be false for {last.name}, which has no tiny decoder")
    return Acceleration(max(1, interval), part.number("guidance_until", 1.0, 0, 1), part.message.tiny_decoder)


def priority(fields: FieldReader) -> Priority:
    """NORMAL by default."""
    if fields.message.priority not in PRIORITIES:
        fields.bad("priority", f"must be one of {', '.join(pb.Priority.keys())}, not {fields.message.priority}")
    return PRIORITIES.get(fields.message.priority, Priority.NORMAL)


def priority_of(asked: Any) -> Priority:
    """Of a request that may have one."""
    return PRIORITIES.get(getattr(asked, "priority", 0), Priority.NORMAL)


def previews(fields: FieldReader) -> Previews:
    """Of a StreamRequest: a preview after every step by default; every_steps 0 means none.

    Checks the size of its pieces as well, which says how pictures travel and is nothing to a job.
    """
    fields.integer("max_image_bytes", LEAST_PIECE, LEAST_PIECE, 2**32 - 1)
    part = fields.part("preview")
    interval = part.message.min_interval.seconds + part.message.min_interval.nanos / 1e9
    if not 0 <= interval <= 3600:
        part.bad("min_interval", f"must be from 0 to 3600 s, not {interval:g} s")
    if part.message.decoder not in TINY:
        part.bad("decoder", f"must be one of {', '.join(pb.PreviewDecoder.keys())}, not {part.message.decoder}")
    return Previews(
        every=part.integer("every_steps", 1, 0, 1000),
        min_interval=interval,
        max_edge=part.integer("max_edge", 256, 16, 1024),
        quality=part.integer("quality", 80, 1, 100),
        tiny=TINY.get(part.message.decoder),
    )
