"""Events and model infos to messages of the contract: one function a message, named as its field in StreamResponse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict
from safelight.v1 import images_pb2 as pb
from safelight.v1 import jobs_pb2

from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.events import Done, Event, Image, Preview, Progress, Queued, Rested, Resumed, Started
from safelight_server.jobs import EXACT, Acceleration
from safelight_server.samplers.table import schedulers_for

R = TypeVar("R", pb.StreamResponse, jobs_pb2.AttachResponse)
FORMATS = {"png": pb.IMAGE_FORMAT_PNG, "jpeg": pb.IMAGE_FORMAT_JPEG, "webp": pb.IMAGE_FORMAT_WEBP}
KINDS = {"base": pb.MODEL_KIND_BASE, "refiner": pb.MODEL_KIND_REFINER, "inpaint": pb.MODEL_KIND_INPAINT}


def queued(event: Queued) -> pb.Queued:
    return pb.Queued(position=event.position)


def started(event: Started) -> pb.Started:
    return pb.Started(
        model=event.model,
        width=event.size[1],
        height=event.size[0],
        steps=event.steps,
        guidance_scale=event.guidance,
        scheduler=event.scheduler,
        seeds=event.seeds,
        warnings=event.warnings,
        acceleration=acceleration(event.acceleration),
    )


def acceleration(done: Acceleration) -> pb.Acceleration | None:
    """What was left out of the work; None for exact pictures."""
    if done == EXACT:
        return None
    return pb.Acceleration(deep_cache_interval=done.deep_cache, guidance_until=done.guided, tiny_decoder=done.tiny)


def progress(event: Progress) -> pb.Progress:
    return pb.Progress(
        image_index=event.index,
        step=event.step,
        steps=event.steps,
        model=event.model,
        step_time=duration(event.seconds),
    )


def preview(event: Preview) -> pb.Preview:
    return pb.Preview(
        image_index=event.index,
        step=event.step,
        steps=event.steps,
        data=event.data,
        width=event.size[1],
        height=event.size[0],
        skipped=event.skipped,
    )


def image(event: Image) -> pb.Image:
    return pb.Image(
        index=event.index,
        seed=event.seed,
        format=FORMATS[event.format],
        data=event.data,
        width=event.size[1],
        height=event.size[0],
        finished_early_at_step=event.early,
        receipt=ParseDict(event.receipt, pb.Receipt(), ignore_unknown_fields=True) if event.receipt else None,
    )


def rested(event: Rested) -> pb.Rested:
    return pb.Rested(
        image_index=event.index,
        step=event.step,
        steps=event.steps,
        seed=event.seed,
        data=event.data,
        width=event.size[1],
        height=event.size[0],
    )


def resumed(event: Resumed) -> pb.Resumed:
    return pb.Resumed(image_index=event.index, step=event.step, warning=event.warning)


def timings(event: Done) -> pb.Timings:
    return pb.Timings(**{stage: duration(seconds) for stage, seconds in event.timings.items()})


def done(event: Done) -> pb.Done:
    return pb.Done(timings=timings(event))


# Each event's field in StreamResponse and AttachResponse, and how it is made a message.
EVENTS: Mapping[type, tuple[str, Callable[[Any], Any]]] = {
    Queued: ("queued", queued),
    Started: ("started", started),
    Progress: ("progress", progress),
    Preview: ("preview", preview),
    Image: ("image", image),
    Rested: ("rested", rested),
    Resumed: ("resumed", resumed),
    Done: ("done", done),
}


def stream_response(response: type[R], job_id: str, sequence: int, event: Event) -> R:
    field, to_message = EVENTS[type(event)]
    return response(job_id=job_id, sequence=sequence, **{field: to_message(event)})


def add(answer: pb.GenerateResponse | pb.RefineResponse, event: Event) -> None:
    """Puts what an event says into the one answer of a call."""
    if isinstance(event, Started):
        answer.warnings.extend(event.warnings)
        if left_out := acceleration(event.acceleration):
            answer.acceleration.CopyFrom(left_out)
    elif isinstance(event, Resumed) and event.warning:
        answer.warnings.append(event.warning)
    elif isinstance(event, Image):
        answer.images.append(image(event))
    elif isinstance(event, Done):
        answer.timings.CopyFrom(timings(event))


def pieces(response: R, longest: int) -> Iterator[R]:
    """The response; one with a picture whose file is longer as several, with a piece of it each."""
    data = response.image.data
    if len(data) <= longest:
        yield response
        return
    for offset in range(0, len(data), longest):
        part = type(response)(job_id=response.job_id, sequence=response.sequence)
        part.image_part.image.MergeFrom(_without_data(response.image))
        part.image_part.image.data = data[offset : offset + longest]
        part.image_part.offset, part.image_part.total_bytes = offset, len(data)
        yield part


def _without_data(image: pb.Image) -> pb.Image:
    return pb.Image(index=image.index, seed=image.seed, format=image.format, width=image.width, height=image.height)


def model(info: ModelInfo) -> pb.Model:
    limits, config = info.limits, info.config
    return pb.Model(
        name=info.name,
        kind=KINDS[config.kind],
        limits=pb.Limits(
            min_edge=limits.min_edge,
            max_edge=limits.max_edge,
            edge_multiple=limits.edge_multiple,
            max_steps=limits.max_steps,
            max_images=limits.max_images,
            max_prompt_tokens=limits.max_prompt_tokens,
        ),
        defaults=pb.Defaults(
            width=config.native_edge,
            height=config.native_edge,
            steps=config.steps,
            guidance_scale=config.guidance,
            scheduler=config.scheduler,
        ),
        schedulers=schedulers_for(config.scheduler_config),
        precision=info.precision,
        precisions=info.precisions,
        device=info.device,
        has_tiny_decoder=config.has_tiny_decoder,
        refiners=info.refiners,
        has_deep_cache=info.has_deep_cache,
    )


def duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=round(seconds, 6)))
    return duration
