"""Messages to jobs: every field checked against the model's own limits, every default filled in."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.json_format import MessageToDict
from safelight.v1 import images_pb2 as pb

from safelight_server import image_files
from safelight_server.arrays import Hw
from safelight_server.diffusion import plan
from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.errors import InvalidRequest, ModelNotFound, Violation
from safelight_server.jobs import EXACT, Handoff, Job, Previews, Source

from . import request_fields
from .field_reader import Form

Request = pb.GenerateRequest | pb.RefineRequest


def job_from(request: Request, infos: Mapping[str, ModelInfo], job_id: str, prefix: str = "") -> Job:
    """The job that a request asks for. Raises ModelNotFound, or InvalidRequest with every bad field.

    Unpacks a Refine's picture, so that it takes a moment; nothing larger than the job's own size is kept.
    """
    form = Form(request, prefix)
    info = _card(form, infos)
    config = info.config
    handoff = _handoff(form, info, infos)
    steps = form.integer("steps", config.steps, 1, info.limits.max_steps)
    refines = isinstance(request, pb.RefineRequest)
    if not refines and config.kind != "base":
        form.bad("model", f"{info.name} is made to redraw a picture: call Refine, or name a base model")
    size, source = (
        _source(form, info) if refines else (_size(form, info, (config.native_edge, config.native_edge)), None)
    )
    seed = request.seed if form.has("seed") else secrets.randbits(32)
    count = form.integer("num_images", 1, 1, info.limits.max_images)
    job = Job(
        id=job_id,
        model=info.name,
        prompts=request_fields.prompts(form),
        size=size,
        steps=steps,
        guidance=form.number("guidance_scale", config.guidance, 0, 100),
        rescale=form.number("guidance_rescale", 0.0, 0, 1),
        seeds=tuple((seed + i) % 2**32 for i in range(count)),
        scheduler=request_fields.scheduler(form, info),
        sizes=request_fields.sizes(form),
        handoff=handoff,
        source=source,
        output=request_fields.output(form),
        acceleration=request_fields.acceleration(form, info, infos[handoff.model] if handoff else info),
        priority=request_fields.priority(form),
    )
    _check_plan(form, job, infos)
    form.finish()
    return replace(job, recipe=_recipe(request, job))


def stream_from(request: pb.StreamRequest, infos: Mapping[str, ModelInfo], job_id: str) -> tuple[Job, Previews | None]:
    """The job and the previews of a stream; None: no previews. Raises what `job_from` raises."""
    which = request.WhichOneof("request")
    if which is None:
        raise InvalidRequest([Violation("request", "must be set: generate or refine")])
    form = Form(request)
    previews = request_fields.previews(form)
    try:
        job = job_from(getattr(request, which), infos, job_id, f"{which}.")
    except InvalidRequest as error:
        raise InvalidRequest([*error.violations, *form.violations]) from None
    form.finish()
    if previews.tiny and not infos[job.model].config.has_tiny_decoder:
        raise InvalidRequest([Violation("preview.decoder", f"model {job.model} has no tiny decoder")])
    return job, previews if previews.every else None


def _check_plan(form: Form, job: Job, infos: Mapping[str, ModelInfo]) -> None:
    """Whether the scheduler takes the job's steps, and strength and handoff leave each model some."""
    try:
        plan.segments(job, {name: info.config for name, info in infos.items()})
    except InvalidRequest as error:
        for violation in error.violations:
            form.bad(*violation)


def _card(form: Form, infos: Mapping[str, ModelInfo]) -> ModelInfo:
    name = form.message.model or next(iter(infos))
    if name not in infos:
        raise ModelNotFound(form.path("model"), name, list(infos))
    return infos[name]


def _handoff(form: Form, info: ModelInfo, infos: Mapping[str, ModelInfo]) -> Handoff | None:
    if not form.has("refiner"):
        return None
    stage = form.part("refiner")
    name = stage.message.model
    if name not in infos:
        raise ModelNotFound(stage.path("model"), name, list(infos))
    if name not in info.refiners:
        allowed = ", ".join(info.refiners) or "none of those served"
        stage.bad(
            "model", f"must share {info.name}'s latent space and not be an inpainting model ({allowed}), not {name!r}"
        )
    fraction = stage.number("handoff", 0.8, 0, 1)
    if fraction in (0, 1):
        stage.bad(
            "handoff", f"must lie between 0 and 1, not at {fraction:g}: one of the models would have nothing to do"
        )
    return Handoff(name, fraction)


def _size(form: Form, info: ModelInfo, default: Hw) -> Hw:
    limits = info.limits
    bounds = limits.min_edge, limits.max_edge, limits.edge_multiple
    return form.integer("height", default[0], *bounds), form.integer("width", default[1], *bounds)


def _source(form: Form, info: ModelInfo) -> tuple[Hw, Source | None]:
    """A Refine's size and start. Headers are read first, pixels only if all the rest of them is right."""
    before = len(form.violations)
    strength = form.number("strength", 0.9999 if form.message.mask else 0.3, 0, 1)
    try:
        picture = image_files.open_picture(form.message.image)
    except image_files.BadPicture as error:
        form.bad("image", str(error))
        return (info.config.native_edge, info.config.native_edge), None
    own = image_files.upright_size(picture)
    multiple = info.limits.edge_multiple
    size = _size(form, info, (own[0] - own[0] % multiple, own[1] - own[1] % multiple))
    mask = None
    if form.message.mask:
        try:
            mask = image_files.open_picture(form.message.mask)
        except image_files.BadPicture as error:
            form.bad("mask", str(error))
            return size, None
        if (found := image_files.upright_size(mask)) != own:
            form.bad("mask", f"must have the image's size {own[1]} x {own[0]}, not {found[1]} x {found[0]}")
    if len(form.violations) > before:
        return size, None
    return size, _unpacked(form, picture, mask, size, strength)


def _unpacked(form: Form, picture: Any, mask: Any, size: Hw, strength: float) -> Source | None:
    field = "image"
    try:
        pixels = image_files.pixels_of(picture, "RGB", size)
        field = "mask"
        return Source(pixels, None if mask is None else image_files.pixels_of(mask, "L", size), strength)
    except image_files.BadPicture as error:
        form.bad(field, str(error))
        return None


def _recipe(request: Request, job: Job) -> dict[str, Any]:
    """The request with the defaults filled in, as its JSON: what a PNG carries. One picture hangs on one seed alone."""
    filled = copy.deepcopy(request)
    filled.ClearField("num_images")
    filled.ClearField("priority")  # says when, not what
    if job.acceleration == EXACT:
        filled.ClearField("acceleration")
    if isinstance(filled, pb.RefineRequest):
        filled.ClearField("image")
        filled.ClearField("mask")
    filled.model, filled.scheduler = job.model, job.scheduler.name
    filled.height, filled.width = job.size
    filled.steps, filled.guidance_scale, filled.seed = job.steps, job.guidance, job.seeds[0]
    if job.source is not None:
        filled.strength = job.source.strength  # type: ignore[union-attr]
    if job.handoff is not None:
        filled.refiner.handoff = job.handoff.fraction
    return MessageToDict(filled)
