"""Servers whose jobs lie in a folder, so that they can be killed and started again, and connections to them."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import grpc
from abusing.process import Server
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight.v1.jobs_pb2_grpc import JobServiceStub
from support import tiny_models

OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))
ALL = (("safelight-max-response-bytes", "1000000000"),)  # metadata: the caller takes what may come


class Connection(NamedTuple):
    """One connection, and so a caller of its own."""

    channel: grpc.Channel
    images: ImageServiceStub
    jobs: JobServiceStub


def connect(address: str) -> Connection:
    channel = grpc.insecure_channel(address, OPTIONS)
    return Connection(channel, ImageServiceStub(channel), JobServiceStub(channel))


@contextmanager
def connected(address: str) -> Iterator[Connection]:
    found = connect(address)
    with found.channel:
        yield found


class Place:
    """An address and a folder: what one server here leaves, the next one finds. `models` as --model takes them."""

    def __init__(self, folder: Path, models: list[str]) -> None:
        self._folder, self._models = folder, models
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]

    @contextmanager
    def serve(self, *options: str) -> Iterator[tuple[Server, Connection]]:
        own = [f"--listen=127.0.0.1:{self._port}", f"--state-dir={self._folder / 'state'}"]
        own += [f"--cache-dir={self._folder / 'compiled'}", "--no-verify"]
        models = [f"--model={model}" for model in self._models]
        with Server(*own, *models, *options) as server, connected(server.address) as connection:
            yield server, connection


@contextmanager
def place(*models: str) -> Iterator[Place]:
    """For these models of the tests', or for the demo models, if there are none."""
    with tempfile.TemporaryDirectory(prefix="safelight-jobs-") as folder:
        yield Place(Path(folder), [f"{name}={tiny_models.folder(name)}" for name in models])
