"""AUTOMATIC1111's addresses below /sdapi/v1: those that its clients need."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from safelight_server.desk import Desk
from safelight_server.engine import estimate
from safelight_server.engine.job_record import JobRecord, JobView
from safelight_server.errors import JobCancelled, JobError, JobNotFound, ModelNotFound, NotStarted
from safelight_server.events import Image
from safelight_server.http import bodies, masks
from safelight_server.http.api import caller_of
from safelight_server.http.draw_request import DrawRequest
from safelight_server.http.failures import Json, in_words, retry_headers
from safelight_server.http.repeats import Repeats
from safelight_server.http.staying import while_here
from safelight_server.images.parameters import parameters_text, sampler_label
from safelight_server.jobs import Previews
from safelight_server.lanes.buffers import resident
from safelight_server.lanes.free_memory import available

from . import fields, names
from .running import Running, Watched, progress

PREVIEWS = Previews(min_interval=0.5, max_edge=512)  # nobody asks for them more often
BODY = 90 * 2**20  # bytes: a picture and a mask, of 32 MiB each, as base64
EMPTY = ("sd-vae", "latent-upscale-modes", "loras", "upscalers")  # what there is nothing of


class A1111:
    """Its routes."""

    def __init__(self, desk: Desk, repeats: Repeats) -> None:
        self._desk, self._repeats = desk, repeats
        self._running = Running()

    def routes(self) -> list[Route]:
        table = (
            ("POST", "txt2img", partial(self.draw, False)),
            ("POST", "img2img", partial(self.draw, True)),
            ("GET", "options", self.options),
            ("POST", "options", self.set_options),
            ("GET", "progress", self.progress),
            ("POST", "interrupt", self.interrupt),
            ("POST", "skip", self.interrupt),
            ("GET", "sd-models", self.models),
            ("GET", "samplers", _telling(names.sampler_list())),
            ("GET", "schedulers", _telling(names.scheduler_list())),
            ("GET", "scripts", _telling({"txt2img": [], "img2img": []})),
            ("GET", "cmd-flags", _telling({"api": True})),
            ("GET", "memory", self.memory),
            *(("GET", name, _telling([])) for name in EMPTY),
        )
        return [Route(f"/sdapi/v1/{name}", endpoint, methods=[method]) for method, name, endpoint in table]

    async def models(self, request: Request) -> Response:
        return JSONResponse(names.model_list(self._desk.infos()))

    async def options(self, request: Request) -> Response:
        info = self._desk.infos()[self._model(request)]
        return JSONResponse(
            {
                "sd_model_checkpoint": names.title(info),
                "sd_checkpoint_hash": info.config.manifest.unet_hash,
                "sd_vae": "Automatic",
                "CLIP_stop_at_last_layers": 1,
                "samples_format": "png",
                "show_progress_every_n_steps": 1,
            }
        )

    async def set_options(self, request: Request) -> Response:
        """Of all options, the model alone is one here, and each caller's own."""
        if told := (await bodies.read_json(request)).get("sd_model_checkpoint"):
            name, infos = names.model_of(str(told)), self._desk.infos()
            if name not in infos:
                raise ModelNotFound("sd_model_checkpoint", name, list(infos))
            self._running.choose(caller_of(request), name)
        return JSONResponse(None)

    async def draw(self, from_picture: bool, request: Request) -> Response:
        values = await bodies.read_json(request, BODY)
        return await while_here(request, self._draw(request, values, from_picture))

    async def progress(self, request: Request) -> Response:
        running = self._running.of(caller_of(request))
        skip = request.query_params.get("skip_current_image", "").lower() == "true"
        eta = sum([await self._seconds_left(watched) for watched in running])
        return JSONResponse(progress(running, eta, with_image=not skip))

    async def interrupt(self, request: Request) -> Response:
        """Ends the caller's drawings with what is there, as A1111 does; those without a step, with nothing."""
        for watched in self._running.of(caller_of(request)):
            watched.interrupted = True
            try:
                await self._desk.jobs.finish(watched.job_id)
            except NotStarted:
                await self._desk.jobs.cancel(watched.job_id)
            except JobNotFound:  # it has ended meanwhile
                pass
        return JSONResponse({})

    async def memory(self, request: Request) -> Response:
        used, free = resident(), available()
        return JSONResponse({"ram": {"free": free, "used": used, "total": free + used}, "cuda": {"error": "none"}})

    async def _draw(self, request: Request, values: Mapping[str, Any], from_picture: bool) -> Response:
        asked, mask = fields.read(values, self._model(request), from_picture=from_picture)
        if mask is not None:
            check = partial(masks.from_a1111, mask.file, invert=mask.invert, blur=mask.blur)
            asked.mask = await self._desk.check(lambda infos: check())
        drawing = DrawRequest(self._desk, self._repeats, asked, request)
        try:
            job_id = await drawing.take()
        except JobError as error:
            raise in_words(error, names.PARAMS) from None
        images: list[Image] = []
        watched = Watched(job_id, asked.num_images)
        with self._running.watching(caller_of(request), watched):
            try:
                async with aclosing(drawing.events(job_id, PREVIEWS)) as events:
                    async for event in events:
                        watched.see(event)
                        images += [event] if isinstance(event, Image) else []
            except JobCancelled:
                if not watched.interrupted:
                    raise
        view = await self._desk.view(job_id)
        body = await asyncio.to_thread(self._answer, values, view, images)
        return Response(body, 200, {"x-safelight-job-id": job_id}, "application/json")

    def _answer(self, values: Mapping[str, Any], view: JobView, images: Sequence[Image]) -> str:
        files = [base64.b64encode(image.data).decode() for image in images]
        told = {name: value for name, value in values.items() if name not in ("init_images", "mask")}
        return json.dumps(
            {
                "images": files if values.get("send_images", True) else [],
                "parameters": told,
                "info": json.dumps(self._info(view, images)),
            }
        )

    def _info(self, view: JobView, images: Sequence[Image]) -> dict[str, Any]:
        recipe, info = view.recipe, self._desk.infos().get(view.model)
        digest = names.digest_of(info) if info else ""
        seeds = [image.seed for image in images]
        return {
            "prompt": recipe.get("prompt", ""),
            "all_prompts": [recipe.get("prompt", "")] * len(seeds),
            "negative_prompt": recipe.get("negativePrompt", ""),
            "all_negative_prompts": [recipe.get("negativePrompt", "")] * len(seeds),
            "seed": recipe.get("seed", 0),
            "all_seeds": seeds,
            "subseed": -1,
            "all_subseeds": [-1] * len(seeds),
            "subseed_strength": 0,
            "width": recipe.get("width"),
            "height": recipe.get("height"),
            "sampler_name": sampler_label(recipe),
            "cfg_scale": recipe.get("guidanceScale"),
            "steps": recipe.get("steps"),
            "batch_size": view.num_images,
            "denoising_strength": recipe.get("strength"),
            "sd_model_name": view.model,
            "sd_model_hash": digest,
            "index_of_first_image": 0,
            "infotexts": [parameters_text({**recipe, "seed": seed}, digest) for seed in seeds],
            "job_id": view.id,
            "warnings": list(view.warnings),
        }

    async def _seconds_left(self, watched: Watched) -> float:
        try:
            found = await self._desk.jobs.find(watched.job_id)
        except JobNotFound:
            return 0.0
        if not isinstance(found, JobRecord):
            return 0.0
        return estimate.eta(self._desk.jobs.engine, found.drawing).likely

    def _model(self, request: Request) -> str:
        """That of the caller's requests that name none."""
        chosen, served = self._running.chosen(caller_of(request)), self._desk.infos()
        return chosen if chosen in served else next(iter(served))


def failure(error: JobError, status: int) -> Response:
    """In the form of A1111 and of FastAPI, whose clients read `detail` or `errors`."""
    told = {"error": error.reason, "detail": str(error), "body": "", "errors": str(error)}
    return Json(told, 422 if status in (400, 409) else status, retry_headers(error))


def _telling(value: Any) -> Any:
    async def tell(request: Request) -> Response:
        return JSONResponse(value)

    return tell
