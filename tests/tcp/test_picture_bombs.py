"""Hostile pictures over TCP: refused in little memory, and nobody else waits for them."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from support import bombs
from support.failures import failure
from support.pictures import black
from support.servers import ServerProcess

MIB = 2**20
SMALL: dict[str, Any] = {"model": "demo-vega", "prompt": "x", "width": 64, "height": 64, "steps": 1}
PATIENCE = 30  # seconds; alone a call takes a tenth of one, and behind eight of the old bombs more than forty
DEAR = bombs.scan_bomb(2048, 90)  # what may be asked for, at the limit: seconds of a core


@pytest.fixture
def stub(demo: ServerProcess) -> Any:
    with grpc.insecure_channel(demo.address) as channel:
        yield ImageServiceStub(channel)


def refine(image: bytes) -> pb.RefineRequest:
    return pb.RefineRequest(image=image, strength=1.0, **SMALL)


def test_eight_scan_bombs_at_once_delay_nobody(demo: ServerProcess, stub: ImageServiceStub) -> None:
    bomb = refine(bombs.scan_bomb(4096, 800))
    calls = [stub.Refine.future(bomb, timeout=4 * PATIENCE) for _ in range(8)]
    _others_are_served(demo)
    for call in calls:
        told = failure(call.result)
        assert told.code is grpc.StatusCode.INVALID_ARGUMENT
        assert told.violations == {"image": "must have at most 100 scans, and has more"}


def test_eight_dear_pictures_delay_nobody_and_end_with_their_calls(demo: ServerProcess, stub: ImageServiceStub) -> None:
    calls = [stub.Refine.future(refine(DEAR), timeout=4 * PATIENCE) for _ in range(8)]
    _until(lambda: bool(_children(demo)))
    _others_are_served(demo)
    for call in calls:
        call.cancel()
    _until(lambda: not _children(demo))
    assert len(stub.Refine(refine(DEAR), timeout=4 * PATIENCE).images) == 1, "a dear one is drawn, if it is waited for"


def _children(server: ServerProcess) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children()


def _until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _others_are_served(server: ServerProcess) -> None:
    """By another connection: a picture, a refusal, and the health."""
    with grpc.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = ImageServiceStub(channel)
        health: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert health(b"", timeout=PATIENCE) == b"\x08\x01"  # SERVING
        assert failure(lambda: stub.Generate(pb.GenerateRequest(steps=0), timeout=PATIENCE)).violations
        assert len(stub.Generate(pb.GenerateRequest(**SMALL), timeout=PATIENCE).images) == 1


REFUSED = [
    bombs.scan_bomb(4096, 800),
    bombs.scan_bomb(4096, 60),
    bombs.flat_png(2**24, 1),
    bombs.flat_png(13000, 13000, colour=0, depth=1),
    bombs.flat_png(4096, 4096, idat=bombs.zeros(2**20)),
    bombs.flat_png(4096, 4096, idat=zlib.compress(bytes(2**20), 0)),
    bombs.with_chunks(bombs.flat_png(8, 8), *[bombs.chunk(b"IDAT", b"")] * 30_000),
    bombs.webp(16384, 16384),
    black(64, 64)[:-30],
]


def test_what_is_refused_takes_no_memory(demo: ServerProcess, stub: ImageServiceStub) -> None:
    for image in REFUSED:  # once for what is allocated once
        failure(lambda image=image: stub.Refine(refine(image)))  # type: ignore[misc]
    for image in REFUSED:
        before = _peak_from_now(demo)
        assert list(failure(lambda image=image: stub.Refine(refine(image))).violations) == ["image"]  # type: ignore[misc]
        assert _peak(demo) - before < 8 * MIB


SEEDS = [
    *REFUSED,
    DEAR,
    bombs.text_bomb(),
    bombs.text_bomb(last=True),
    bombs.exif_bomb(),
    bombs.flat_png(67, 93, interlaced=True),
    bombs.flat_png(4096, 4096, depth=16),
    bombs.webp(64, 64),
    *(bombs.saved(bombs.noise(64, 48), format) for format in ("PNG", "JPEG", "WEBP")),
]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_sent_is_drawn_or_refused_in_bounded_memory(
    seed: int, demo: ServerProcess, stub: ImageServiceStub
) -> None:
    chance = random.Random(seed)
    stub.Refine(refine(black(64, 64)))
    before = _peak_from_now(demo)
    for _ in range(30):
        call = stub.Refine.future(refine(_mutant(chance)), timeout=4 * PATIENCE)
        if (error := call.exception()) is not None:
            assert list(failure(call.result).violations) == ["image"], error
    assert _peak(demo) - before < 64 * MIB, "what one picture of 4 megapixels takes that is unpacked and drawn"
    assert not _children(demo)


def _mutant(chance: random.Random) -> bytes:
    """One of the seeds with some bytes changed, mostly near its beginning; or broken off, or two of them in one."""
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.choice((0, 1, 1, 3))):
        data[chance.randrange(min(len(data), chance.choice((60, 400, len(data)))))] = chance.randrange(256)
    if chance.random() < 0.2:
        del data[chance.randrange(len(data)) :]
    if chance.random() < 0.2:
        data += chance.choice(SEEDS)
    return bytes(data)


def _peak_from_now(server: ServerProcess) -> int:
    """Bytes that the server takes now; _peak is counted from here."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5", encoding="utf-8")
    return _peak(server)


def _peak(server: ServerProcess) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
