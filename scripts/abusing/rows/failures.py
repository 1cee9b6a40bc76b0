"""A UNet fails for one job, again and again: the jobs beside it are drawn all the same, with the same bytes."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import safelight_server
from safelight.v1 import images_pb2 as pb

from abusing.broken import FATAL, break_unet
from abusing.calls import STREAM, channel, job, listen, run
from abusing.finding import Effort, Finding, at_least, at_most
from abusing.process import Server

DEMO = Path(safelight_server.__file__).parent / "demo"
INNOCENTS = [{"model": model, "seed": seed, "steps": 12} for model in ("demo-xl", "demo-vega") for seed in range(4)]
KILLER = {"model": "demo-xl", "seed": 9, "steps": 3, "size_conditioning": {"target": {"width": FATAL, "height": 64}}}
PATIENCE = 120.0  # seconds for a call


def measure(effort: Effort) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory() as folder:
        break_unet(DEMO / "demo-xl", Path(folder) / "demo-xl")
        shutil.copytree(DEMO / "demo-vega", Path(folder) / "demo-vega")
        models = [f"--model={name}={folder}/{name}" for name in ("demo-xl", "demo-vega")]
        with Server(*models, "--no-verify") as server:
            told = run(_rounds(server.address, effort.pick(40, 2)))
            alive = server.process.poll() is None
    yield at_least("jobs that had to fail, and did", told["failed killers"], told["killers"], control=True)
    yield at_least("different pictures among those compared with", told["different"], len(INNOCENTS), control=True)
    yield at_least("innocents whose job a failure met while they were drawn", told["met"], 1, control=True)
    yield at_most(f"innocents in flight with wrong bytes, of {told['innocents']}", told["wrong"], 0)
    yield at_most(f"innocents in flight that failed, of {told['innocents']}", told["failed"], 0)
    yield Finding("the server", "runs" if alive else "has ended", "runs", alive)


async def _rounds(address: str, count: int) -> Counter[str]:
    told: Counter[str] = Counter()
    async with channel(address) as connection:
        right = [await _drawn(connection, fields, asyncio.Event(), told) for fields in INNOCENTS]
        told.clear()
        told["different"] = len(set(right))
        for _ in range(count):
            await _round(connection, right, told)
            await _until_recovered(connection)
    return told


async def _round(connection: grpc.aio.Channel, right: list[bytes | None], told: Counter[str]) -> None:
    """All innocents are being drawn when the killer comes."""
    started = [asyncio.Event() for _ in INNOCENTS]
    calls = [
        asyncio.create_task(_drawn(connection, fields, event, told))
        for fields, event in zip(INNOCENTS, started, strict=True)
    ]
    await asyncio.wait_for(asyncio.gather(*(event.wait() for event in started)), PATIENCE)
    failed = await _drawn(connection, KILLER, asyncio.Event(), told) is None
    told.update({"killers": 1, "failed killers": failed, "met": sum(not call.done() for call in calls)})
    for picture, expected in zip(await asyncio.gather(*calls), right, strict=True):
        told.update(innocents=1, failed=picture is None, wrong=picture is not None and picture != expected)


async def _drawn(
    connection: grpc.aio.Channel, fields: dict[str, Any], started: asyncio.Event, told: Counter[str]
) -> bytes | None:
    """The picture's file; None if the call fails."""
    request = pb.StreamRequest(generate=job(**fields), preview=pb.PreviewOptions(every_steps=0))
    picture = None
    try:
        async for message in listen(connection, STREAM, request.SerializeToString(), timeout=PATIENCE):
            response = pb.StreamResponse.FromString(message)
            if response.HasField("started"):
                started.set()
            if response.HasField("image"):
                picture = response.image.data
    except grpc.aio.AioRpcError as error:
        told[f"{fields['model']}: {error.code().name}"] += 1
        return None
    finally:
        started.set()
    return picture


async def _until_recovered(connection: grpc.aio.Channel) -> None:
    """New jobs are refused while the network is compiled anew."""
    for _ in range(600):
        if await _drawn(connection, {"model": "demo-xl"}, asyncio.Event(), Counter()) is not None:
            return
        await asyncio.sleep(0.1)
    raise RuntimeError("the model does not recover")
