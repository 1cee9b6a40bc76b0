"""The door for reflection, by which grpcurl and its like ask what there is: the library answers, the reading is ours.

Where the library reads them, what does not parse is answered with the name of a Python class.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha import reflection_pb2 as pb

from .calls import Context, parse, report, serialize

NAME: str = reflection.SERVICE_NAME


def handlers(names: Iterable[str]) -> grpc.GenericRpcHandler:
    """A handler that tells of the services with these names, and of itself."""
    servicer = reflection.aio.ReflectionServicer((*names, NAME))

    async def info(bodies: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        async with report(context):
            requests = (parse(pb.ServerReflectionRequest, body) async for body in bodies)
            async for response in servicer.ServerReflectionInfo(requests, context):
                yield response

    method: Any = grpc.stream_stream_rpc_method_handler(info, response_serializer=serialize)
    return grpc.method_handlers_generic_handler(NAME, {"ServerReflectionInfo": method})
