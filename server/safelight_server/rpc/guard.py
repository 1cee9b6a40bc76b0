"""What every gRPC call passes first: who is calling, and may they do this? Only health is for everybody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import grpc

from safelight_server.access.bearer import token_in
from safelight_server.access.tokens import Tokens
from safelight_server.callers import Right, calling
from safelight_server.errors import JobError
from safelight_server.observer import SILENT, Observer

from . import health
from .calls import DOOR, Context, report

OPEN = f"/{health.NAME}/"

# What a method takes. One that is not named here is an admin's: what is forgotten must not be open.
RIGHTS: Mapping[str, Mapping[Right, tuple[str, ...]]] = {
    "safelight.v1.ImageService": {Right.READ: ("ListModels",), Right.DRAW: ("Generate", "Refine", "Stream")},
    "safelight.v1.JobService": {
        Right.READ: ("Attach", "GetJob", "ListJobs", "Estimate"),
        Right.DRAW: ("Submit", "Fork", "Verify", "CancelJob", "FinishJob", "DeleteJob"),
    },
    "safelight.v1.ModelService": {Right.ADMIN: ("LoadModel", "UnloadModel")},
    "google.longrunning.Operations": {
        Right.READ: ("GetOperation", "ListOperations", "WaitOperation"),
        Right.DRAW: ("CancelOperation", "DeleteOperation"),
    },
    "grpc.reflection.v1.ServerReflection": {Right.READ: ("ServerReflectionInfo",)},
    "grpc.reflection.v1alpha.ServerReflection": {Right.READ: ("ServerReflectionInfo",)},
}
BY_PATH = {
    f"/{service}/{method}": right
    for service, rights in RIGHTS.items()
    for right, methods in rights.items()
    for method in methods
}

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]


class Guard(grpc.aio.ServerInterceptor):
    """Lets those in who have a token, and does what they have the right to."""

    def __init__(self, tokens: Tokens, observer: Observer = SILENT) -> None:
        self._tokens, self._observer = tokens, observer

    async def intercept_service(self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The method's handler; None where there is none, of which gRPC makes UNIMPLEMENTED."""
        details, handler = handler_call_details, await continuation(handler_call_details)
        if details.method.startswith(OPEN):
            return handler
        try:
            caller = self._tokens.caller(_token(details))
            if handler is not None:
                caller.check(BY_PATH.get(details.method, Right.ADMIN))
        except JobError as error:
            return _refusing(error, self._observer)
        calling.set(caller)  # this call has a task of its own
        return handler


def _token(details: grpc.HandlerCallDetails) -> str | None:
    sent = [value for name, value in details.invocation_metadata or () if name == "authorization"]
    return token_in(sent[0]) if len(sent) == 1 and isinstance(sent[0], str) else None


def _refusing(error: JobError, observer: Observer) -> grpc.RpcMethodHandler[Any, Any]:
    """For a call of any kind: it is refused before anything of it is read."""

    async def refuse(requests: Any, context: Context) -> None:
        observer.call_began(DOOR)
        async with report(context, observer):
            raise error

    return grpc.stream_stream_rpc_method_handler(refuse)
