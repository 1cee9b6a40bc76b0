"""What many tests share: small exported models, a server of them all and one of the demo models, and both clients."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # read as grpc is imported; it tells of every server that leaves
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# The tests start hundreds of processes. Each would translate all sources anew, which is half of what its start costs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import grpc
import pytest
import safelight_server  # noqa: F401 - before any test imports openvino, which then sends no reports: it forks for each
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight_server.lanes.buffers import resident
from support.clients import connect as connect
from support.pixel_cases import low as low
from support.servers import ServerProcess
from support.tiny_models import MODELS

# Files that take half a minute and more, the longest first.
LONG = (
    "tests/models/test_library.py",
    "tests/export/test_quantize.py",
    "tests/export/test_process.py",
    "tests/samplers/test_table.py",
    "tests/tcp/test_job_store.py",
    "tests/models/test_fitting.py",
    "tests/scripts/test_abuse.py",
    "tests/export/test_exporter.py",
    "tests/tcp/test_client_jobs.py",
    "tests/lanes/test_compiled_network.py",
    "tests/tcp/test_reference.py",
    "tests/commands/test_compare.py",
    "tests/traces/test_sent.py",
    "tests/engine/test_failures.py",
    "tests/test_examples.py",
    "tests/tcp/test_server.py",
    "tests/tcp/test_leaving.py",
)
# Folders whose other files take seconds: they come last, so that neither worker begins anything long at the end.
SHORT = ("access", "contract", "diffusion", "images", "job_store", "model_folder", "pixels", "rpc", "samplers")


def pytest_configure(config: pytest.Config) -> None:
    """Each worker of pytest-xdist has a core of its own, with the servers that it starts.

    What runs on both cores at once waits for both all the time: beside another such, it takes twice as long, and more.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and hasattr(os, "sched_setaffinity"):  # Linux has it
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long files come first: when one that was begun as the last is at work, the other worker has nothing to do."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        places = {(config.rootpath / name).resolve(strict=True): place for place, name in enumerate(LONG)}
        items.sort(key=lambda item: places.get(item.path, len(LONG) + (item.path.parent.name in SHORT)))


GROWN = 300e6  # bytes: two models


def pytest_runtest_logfinish() -> None:
    """What a test leaves of its models is given back: lanes and networks hold each other in circles.

    Python looks for them when there are a quarter more objects than before, and to it a compiled graph is one object.
    With torch imported, there are half a million of others: a worker grew by gigabytes before it looked.
    """
    global _looked
    if resident() - _looked > GROWN:
        gc.collect()
        _looked = resident()


_looked = resident()


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Some libraries of the exporter raise the level of every handler there is, pytest's own too, and leave it so."""
    caplog.handler.setLevel(0)
    return caplog


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No batches are measured, as on a slow machine: a third of what it takes to load a model."""
    monkeypatch.setattr("safelight_server.models.batch_profile.PATIENCE", 0.0)


@pytest.fixture(scope="session")
def folders() -> dict[str, str]:
    """The folder of each of tests/support/tiny_models.py, built where this machine has none."""
    # In a process of its own, for exporting warns a lot and keeps its memory.
    command = [sys.executable, "-m", "support.tiny_models", *MODELS]
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent)
    return dict(zip(MODELS, told.stdout.split()[-len(MODELS) :], strict=True))


@pytest.fixture(scope="session")
def server(folders: dict[str, str]) -> Iterator[ServerProcess]:
    """All of them, in f32. For every test that needs no options of its own, and leaves it as it was."""
    models = [f"--model={name}={folder}" for name, folder in folders.items()]
    with ServerProcess(*models, "--precision=f32") as process:
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
