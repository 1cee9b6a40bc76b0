"""A request to the plan of a job: every field is checked against the model's own limits, every default is filled in."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.json_format import MessageToDict
from safelight.v1 import images_pb2 as pb

from safelight_server.arrays import Hw
from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.diffusion.plan import Plan, make_plan
from safelight_server.errors import InvalidRequest, ModelNotFound, Violation
from safelight_server.images import files
from safelight_server.jobs import EXACT, Handoff, Job, Previews, Source

from . import request_fields
from .field_reader import FieldReader

Request = pb.GenerateRequest | pb.RefineRequest


def plan_from(request: Request, infos: Mapping[str, ModelInfo], job_id: str, prefix: str = "") -> Plan:
    """The job that a request asks for, and its steps on each model. `prefix`: where the request lies in a larger one.

    Unpacks a Refine's picture, so it takes a moment: call it in a thread. Nothing larger than the job's own size is
    kept. Raises ModelNotFound, or InvalidRequest with every bad field.
    """
    fields = FieldReader(request, prefix)
    info = _model(fields, infos)
    job = _job(fields, info, infos, job_id)
    plan = _plan(fields, job, infos)
    fields.finish()
    assert plan is not None, "a job without a plan has a bad field"
    return replace(plan, job=replace(job, recipe=_recipe(request, job)))


def stream_from(request: pb.StreamRequest, infos: Mapping[str, ModelInfo], job_id: str) -> tuple[Plan, Previews | None]:
    """The plan and the previews of a stream; None: no previews. Raises what `plan_from` raises."""
    which = request.WhichOneof("request")
    if which is None:
        raise InvalidRequest([Violation("request", "must be set: generate or refine")])
    fields = FieldReader(request)
    previews = request_fields.previews(fields)
    try:
        plan = plan_from(getattr(request, which), infos, job_id, f"{which}.")
    except InvalidRequest as error:
        raise InvalidRequest([*error.violations, *fields.violations]) from None
    fields.finish()
    model = plan.job.model
    if previews.tiny and not infos[model].config.has_tiny_decoder:
        raise InvalidRequest([Violation("preview.decoder", f"model {model} has no tiny decoder")])
    return plan, previews if previews.every else None


def _job(fields: FieldReader, info: ModelInfo, infos: Mapping[str, ModelInfo], job_id: str) -> Job:
    """All of the job but its recipe; what is bad is counted in `fields`."""
    request, config = fields.message, info.config
    handoff = _handoff(fields, info, infos)
    steps = fields.integer("steps", config.steps, 1, info.limits.max_steps)
    size, source = _start(fields, info)
    seed = request.seed if fields.has("seed") else secrets.randbits(32)
    count = fields.integer("num_images", 1, 1, info.limits.max_images)
    return Job(
        id=job_id,
        model=info.name,
        prompts=request_fields.prompts(fields),
        size=size,
        steps=steps,
        guidance=fields.number("guidance_scale", config.guidance, 0, 100),
        rescale=fields.number("guidance_rescale", 0.0, 0, 1),
        seeds=tuple((seed + i) % 2**32 for i in range(count)),
        scheduler=request_fields.scheduler(fields, info),
        sizes=request_fields.sizes(fields),
        handoff=handoff,
        source=source,
        output=request_fields.output(fields),
        acceleration=request_fields.acceleration(fields, info, infos[handoff.model] if handoff else info),
        priority=request_fields.priority(fields),
    )


def _plan(fields: FieldReader, job: Job, infos: Mapping[str, ModelInfo]) -> Plan | None:
    """None where the scheduler does not take the job's steps, or where strength or handoff leave a model none."""
    try:
        return make_plan(job, {name: info.config for name, info in infos.items()})
    except InvalidRequest as error:
        bad = {violation.field for violation in fields.violations}
        for field, description in error.violations:
            if fields.path(field) not in bad:  # the default that stands in for a bad value may fit as little
                fields.bad(field, description)
        return None


def _model(fields: FieldReader, infos: Mapping[str, ModelInfo]) -> ModelInfo:
    name = fields.message.model or next(iter(infos))
    if name not in infos:
        raise ModelNotFound(fields.path("model"), name, list(infos))
    return infos[name]


def _handoff(fields: FieldReader, info: ModelInfo, infos: Mapping[str, ModelInfo]) -> Handoff | None:
    if not fields.has("refiner"):
        return None
    stage = fields.part("refiner")
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


def _size(fields: FieldReader, info: ModelInfo, default: Hw) -> Hw:
    limits = info.limits
    bounds = limits.min_edge, limits.max_edge, limits.edge_multiple
    return fields.integer("height", default[0], *bounds), fields.integer("width", default[1], *bounds)


def _start(fields: FieldReader, info: ModelInfo) -> tuple[Hw, Source | None]:
    """The size, and for a Refine the picture that it starts from."""
    if isinstance(fields.message, pb.RefineRequest):
        return _source(fields, info)
    if info.config.kind != "base":
        fields.bad("model", f"{info.name} is made to redraw a picture: call Refine, or name a base model")
    return _size(fields, info, (info.config.native_edge, info.config.native_edge)), None


def _source(fields: FieldReader, info: ModelInfo) -> tuple[Hw, Source | None]:
    """A Refine's size and start. Headers are read first, and pixels only if the headers are right."""
    before = len(fields.violations)
    strength = fields.number("strength", 0.9999 if fields.message.mask else 0.3, 0, 1)
    try:
        picture = files.open_picture(fields.message.image)
    except files.BadPicture as error:
        fields.bad("image", str(error))
        return (info.config.native_edge, info.config.native_edge), None
    own = files.upright_size(picture)
    multiple = info.limits.edge_multiple
    size = _size(fields, info, (own[0] - own[0] % multiple, own[1] - own[1] % multiple))
    mask = None
    if fields.message.mask:
        try:
            mask = files.open_picture(fields.message.mask)
        except files.BadPicture as error:
            fields.bad("mask", str(error))
            return size, None
        if (found := files.upright_size(mask)) != own:
            fields.bad("mask", f"must have the image's size {own[1]} x {own[0]}, not {found[1]} x {found[0]}")
    if len(fields.violations) > before:
        return size, None
    return size, _unpack(fields, picture, mask, size, strength)


def _unpack(fields: FieldReader, picture: Any, mask: Any, size: Hw, strength: float) -> Source | None:
    field = "image"
    try:
        pixels = files.pixels_of(picture, "RGB", size)
        field = "mask"
        return Source(pixels, None if mask is None else files.pixels_of(mask, "L", size), strength)
    except files.BadPicture as error:
        fields.bad(field, str(error))
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
