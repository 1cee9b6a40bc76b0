"""A request to the plan of a job: every field is checked against the model's own limits, every default is filled in."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.json_format import MessageToDict
from safelight.v1 import images_pb2 as pb

from safelight_server.arrays import Hw
from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.diffusion.plan import Plan, make_plan
from safelight_server.errors import InvalidRequest, ModelNotFound, Violation
from safelight_server.jobs import EXACT, Handoff, Job, Previews, Source

from . import pictures, request_fields, stored, terms
from .field_reader import FieldReader

Request = pb.GenerateRequest | pb.RefineRequest
TERMS = terms.FIELDS
HASH_DIGITS = 10  # of a model, as A1111 shows them


def plan_from(request: Request, infos: Mapping[str, ModelInfo], job_id: str, prefix: str = "") -> Plan:
    """The job that a request asks for, and its steps on each model. `prefix`: where the request lies in a larger one.

    Unpacks a Refine's picture, so it takes a moment: call it in a thread. Nothing larger than the job's own size is
    kept. Raises InvalidRequest, or ModelNotFound, with every bad field; or PicturesWaiting.
    """
    fields = FieldReader(request, prefix)
    _check_models(fields, infos)
    job = _job(fields, infos[_model(request, infos)], infos, job_id)
    plan = _plan(fields, job, infos)
    if plan is not None and job.stop_at is not None and not 0 < job.stop_at < plan.steps:
        fields.bad("stop_at_step", f"must be from 1 to {plan.steps - 1}, not {job.stop_at}: the steps are {plan.steps}")
    fields.finish()
    assert plan is not None, "a job without a plan has a bad field"
    digest = infos[job.model].config.manifest.unet_hash[:HASH_DIGITS]
    told = replace(job, recipe=_recipe(request, job), uploads=stored.uploads(request), model_hash=digest)
    return replace(plan, job=told)


def asked_in(request: Any) -> Request:
    """The drawing that is asked for; an empty one if there is none, which `stream_from` tells."""
    asked: Request = request.refine if request.HasField("refine") else request.generate
    return asked


def check_request(request: Any) -> None:
    """Raises InvalidRequest if neither of the two is asked for."""
    if request.WhichOneof("request") is None:
        raise InvalidRequest([Violation("request", "must be set: generate or refine")])


def takes_long(request: Request) -> bool:
    """Whether its check may take more than a moment: pictures are unpacked, the tokens of long prompts are counted."""
    return isinstance(request, pb.RefineRequest) or request.prompt_syntax == pb.PROMPT_SYNTAX_WEIGHTED


def previews_of(request: Any) -> Previews | None:
    """The previews that a stream, or who attaches to a job, wants; None: none. Raises InvalidRequest."""
    fields = FieldReader(request)
    previews = request_fields.previews(fields)
    fields.finish()
    return previews if previews.every else None


def stream_from(request: pb.StreamRequest, infos: Mapping[str, ModelInfo], job_id: str) -> Plan:
    """The plan of a stream, whose previews are checked as well. Raises what `plan_from` raises."""
    check_request(request)
    which = str(request.WhichOneof("request"))
    fields = FieldReader(request)
    previews = request_fields.previews(fields)
    try:
        plan = plan_from(getattr(request, which), infos, job_id, f"{which}.")
    except InvalidRequest as error:
        raise InvalidRequest([*error.violations, *fields.violations]) from None
    except ModelNotFound as error:
        error.violations = [*error.violations, *fields.violations]
        raise
    fields.finish()
    model = plan.job.model
    if previews.tiny and not infos[model].config.has_tiny_decoder:
        raise InvalidRequest([Violation("preview.decoder", f"model {model} has no tiny decoder")])
    return plan


def _job(
    fields: FieldReader, info: ModelInfo, infos: Mapping[str, ModelInfo], job_id: str, *, unpack: bool = True
) -> Job:
    """All of the job but its recipe; what is bad is counted in `fields`. Pictures come last, and only if `unpack`."""
    request, config = fields.message, info.config
    handoff = _handoff(fields, info, infos)
    steps = fields.integer("steps", config.steps, 1, info.limits.max_steps)
    seed = request.seed if fields.has("seed") else secrets.randbits(32)
    count = fields.integer("num_images", 1, 1, info.limits.max_images)
    job = Job(
        id=job_id,
        model=info.name,
        prompts=request_fields.prompts(fields, [info, *([infos[handoff.model]] if handoff else [])]),
        size=(0, 0),
        steps=steps,
        guidance=fields.number("guidance_scale", config.guidance, 0, 100),
        rescale=fields.number("guidance_rescale", 0.0, 0, 1),
        seeds=tuple((seed + i) % 2**32 for i in range(count)),
        scheduler=request_fields.scheduler(fields, info),
        sizes=request_fields.sizes(fields),
        handoff=handoff,
        source=None,
        output=request_fields.output(fields),
        acceleration=request_fields.acceleration(fields, info, infos[handoff.model] if handoff else info),
        priority=request_fields.priority(fields),
        method="refine" if isinstance(request, pb.RefineRequest) else "generate",
        stop_at=request.stop_at_step if fields.has("stop_at_step") else None,
    )
    terms.read(fields)
    size, source = _start(fields, info, unpack)
    return replace(job, size=size, source=source)


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


def _model(request: Request, infos: Mapping[str, ModelInfo]) -> str:
    return request.model or next(iter(infos))


def _check_models(fields: FieldReader, infos: Mapping[str, ModelInfo]) -> None:
    """Raises ModelNotFound if a model is not served, with all that is bad whichever one is meant."""
    request = fields.message
    asked = {fields.path("model"): _model(request, infos)}
    if fields.has("refiner"):
        asked[fields.path("refiner.model")] = request.refiner.model
    missing = [ModelNotFound(field, name, list(infos)) for field, name in asked.items() if name not in infos]
    if not missing:
        return
    known = infos.get(_model(request, infos))
    rest = _bad_for_all(fields, infos, infos.values() if known is None else [known])
    told = [violation for error in missing for violation in error.violations]
    fields_told = {violation.field for violation in told}
    missing[0].violations = [*told, *(violation for violation in rest if violation.field not in fields_told)]
    raise missing[0]


def _bad_for_all(
    fields: FieldReader, infos: Mapping[str, ModelInfo], models: Collection[ModelInfo]
) -> Iterator[Violation]:
    """The bad fields that are bad for each of these models."""
    found: list[dict[str, Violation]] = []
    for info in models:
        own = FieldReader(fields.message, fields.path(""))
        _job(own, info, infos, "", unpack=False)
        found.append({violation.field: violation for violation in own.violations})
    return (violation for field, violation in found[0].items() if all(field in other for other in found))


def _handoff(fields: FieldReader, info: ModelInfo, infos: Mapping[str, ModelInfo]) -> Handoff | None:
    if not fields.has("refiner"):
        return None
    stage = fields.part("refiner")
    name = stage.message.model
    if name in infos and name not in info.refiners:
        allowed = ", ".join(info.refiners) or "none of those served"
        stage.bad(
            "model", f"must share {info.name}'s latent space and not be an inpainting model ({allowed}), not {name!r}"
        )
    fraction = stage.number("handoff", 0.8, 0, 1)
    if fraction in (0, 1):
        stage.bad(
            "handoff", f"must lie between 0 and 1, not at {fraction:g}: one of the models would have nothing to do"
        )
    return Handoff(name, fraction) if name in infos else None


def _size(fields: FieldReader, info: ModelInfo, default: Hw) -> Hw:
    limits = info.limits
    bounds = limits.min_edge, limits.max_edge, limits.edge_multiple
    return fields.integer("height", default[0], *bounds), fields.integer("width", default[1], *bounds)


def _start(fields: FieldReader, info: ModelInfo, unpack: bool) -> tuple[Hw, Source | None]:
    """The size, and for a Refine the picture that it starts from."""
    native = info.config.native_edge, info.config.native_edge
    if isinstance(fields.message, pb.RefineRequest):
        return pictures.source(
            fields, info.limits.edge_multiple, lambda own: _size(fields, info, own or native), unpack=unpack
        )
    if info.config.kind != "base":
        fields.bad("model", f"{info.name} is made to redraw a picture: call Refine, or name a base model")
    return _size(fields, info, native), None


def _recipe(request: Request, job: Job) -> dict[str, Any]:
    """The request with the defaults filled in, as its JSON: what a PNG carries. One picture hangs on one seed alone."""
    filled = copy.deepcopy(request)
    filled.ClearField("num_images")
    for field in ("priority", *terms.FIELDS):  # say when, and how long, not what
        filled.ClearField(field)
    if not job.prompts.weighted:
        filled.ClearField("prompt_syntax")
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
