"""The calls of ModelService, and how models are told: a message in, a message out, whatever the door."""

from __future__ import annotations

from safelight.v1 import images_pb2 as images
from safelight.v1 import models_pb2 as pb

from safelight_server.desk import Desk
from safelight_server.models.known import ModelState

from . import events

STATES = {
    ModelState.UNLOADED: images.MODEL_STATE_UNLOADED,
    ModelState.LOADING: images.MODEL_STATE_LOADING,
    ModelState.LOADED: images.MODEL_STATE_LOADED,
    ModelState.LEAVING: images.MODEL_STATE_LOADED,  # it still draws
    ModelState.FAILED: images.MODEL_STATE_FAILED,
}


class ModelCalls:
    """Each raises what the desk and the admin of its models do."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def models(self) -> images.ListModelsResponse:
        """All that can be asked for; the first is the default."""
        return images.ListModelsResponse(models=[self._told(name) for name in self._desk.infos()])

    async def load(self, request: pb.LoadModelRequest) -> pb.LoadModelResponse:
        one = await self._desk.admin.load(request.name, request.folder)
        return pb.LoadModelResponse(model=self._told(one.name))

    async def unload(self, request: pb.UnloadModelRequest) -> pb.UnloadModelResponse:
        await self._desk.admin.unload(request.name, forget=request.forget)
        return pb.UnloadModelResponse()

    def _told(self, name: str) -> images.Model:
        told, one = events.model(self._desk.infos()[name]), self._desk.jobs.engine.library.known.get(name)
        told.state = STATES[one.state if one else ModelState.LOADED]
        told.memory_bytes = one.memory if one and told.state == images.MODEL_STATE_LOADED else 0
        return told
