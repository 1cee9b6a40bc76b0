"""A client in a process of its own, which can be killed or frozen."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub

from support.asking import LONG
from support.servers import ServerProcess


@contextmanager
def drawing_for(server: ServerProcess, how: str, request_id: str) -> Iterator[subprocess.Popen[str]]:
    """A client whose job is being drawn. `how`: it may "read" the stream, or "stall", or "generate" and wait."""
    command = [sys.executable, "-m", __name__, server.address, how, request_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as client:
        try:
            assert client.stdout
            assert client.stdout.readline() == "asked\n"
            server.wait_for(request_id)
            yield client
        finally:
            client.kill()


def main(address: str, how: str, request_id: str) -> None:
    stub = ImageServiceStub(grpc.insecure_channel(address))
    metadata = (("x-request-id", request_id), ("safelight-max-response-bytes", "100000000"))
    job = pb.GenerateRequest(**LONG)
    if how == "generate":
        call = stub.Generate.future(job, metadata=metadata)
        print("asked", flush=True)
        call.result()
    preview = pb.PreviewOptions(max_edge=512, quality=100)
    for response in stub.Stream(pb.StreamRequest(generate=job, preview=preview), metadata=metadata):
        if response.HasField("progress"):
            print("asked", flush=True)
            time.sleep(600 if how == "stall" else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
