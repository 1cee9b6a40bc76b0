"""A plain grpc.aio server, for controls: first come first served, and the library's own health service."""

from __future__ import annotations

import asyncio
import signal
import sys

import grpc
from grpc_health.v1 import health, health_pb2_grpc

COMMAND = [sys.executable, "-m", "abusing.plain"]
GRACE = 2.0
TIME = 0.02  # seconds that a job takes


class Plain(grpc.GenericRpcHandler):
    """Every method that the health service does not have takes a turn and some time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        return None if "Health" in details.method else grpc.unary_unary_rpc_method_handler(self._answer)

    async def _answer(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        async with self._turn:
            await asyncio.sleep(TIME)
        return b""


async def main() -> None:
    server = grpc.aio.server(handlers=(Plain(),))
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print(f"listening on 127.0.0.1:{port}\nready: plain", file=sys.stderr, flush=True)
    await ended.wait()
    await servicer.enter_graceful_shutdown()
    await server.stop(GRACE)


if __name__ == "__main__":
    asyncio.run(main())
