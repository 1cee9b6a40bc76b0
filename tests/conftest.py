"""What many tests share: small exported models, one server that serves them all in f32, and both clients."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from safelight.v1.images_pb2_grpc import ImageServiceStub
from support.clients import connect as connect
from support.pixel_cases import low as low
from support.servers import ServerProcess, models

os.environ.setdefault("HF_HUB_OFFLINE", "1")

KINDS = ("base", "zero_snr", "vega_lcm", "refiner", "inpaint")


@pytest.fixture(scope="session")
def folders() -> dict[str, str]:
    """The folder of each kind of tests/support/tiny_models.py, built where this machine has none."""
    # In a process of its own, for exporting warns a lot and keeps its memory.
    command = [sys.executable, "-m", "support.tiny_models", *KINDS]
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent)
    return dict(zip(KINDS, told.stdout.split()[-len(KINDS) :], strict=True))


@pytest.fixture(scope="session")
def server(folders: dict[str, str]) -> Iterator[ServerProcess]:
    """All kinds, in f32. For every test that needs no options of its own, and leaves it as it was."""
    with ServerProcess(*models(folders), "--precision=f32") as process:
        yield process


@pytest.fixture(scope="session")
def demo() -> Iterator[ServerProcess]:
    """The demo models, in f32. For every test that needs no options of its own, and leaves it as it was."""
    with ServerProcess("--precision=f32") as process:
        yield process


@pytest.fixture(scope="session")
def stub(server: ServerProcess) -> Iterator[ImageServiceStub]:
    with grpc.insecure_channel(server.address) as channel:
        yield ImageServiceStub(channel)
