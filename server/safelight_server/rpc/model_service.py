"""The gRPC door for operators: models are loaded and unloaded while the server runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from safelight.v1 import models_pb2 as pb

from safelight_server.desk import Desk
from safelight_server.messages.model_calls import ModelCalls

from .calls import Calls, Context, parse, unary_handlers

NAME = pb.DESCRIPTOR.services_by_name["ModelService"].full_name
Answer = Callable[[Any], Awaitable[Any]]


class ModelService:
    """Handlers for safelight.v1.ModelService."""

    def __init__(self, desk: Desk, calls: Calls) -> None:
        self._models, self._calls = ModelCalls(desk), calls

    def handlers(self) -> grpc.GenericRpcHandler:
        unary: dict[str, tuple[Any, Answer]] = {
            "LoadModel": (pb.LoadModelRequest, self._models.load),
            "UnloadModel": (pb.UnloadModelRequest, self._models.unload),
        }
        return grpc.method_handlers_generic_handler(NAME, unary_handlers(unary, self._answer))

    async def _answer(self, request: Any, answer: Answer, body: bytes, context: Context) -> Any:
        async with self._calls.count(context):
            return await answer(parse(request, body))
