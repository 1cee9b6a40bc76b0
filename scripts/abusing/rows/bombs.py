"""Pictures that are small to send and dear to unpack: what they take of the server, and of the others' time."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from PIL import Image
from safelight.v1 import images_pb2 as pb

from abusing.bombs import long_png, scan_bomb, text_png
from abusing.calls import GENERATE, REFINE, SMALL, ask, channel, check, job, run, seconds
from abusing.finding import Effort, Finding, at_most, percentile
from abusing.process import Server

BOMBS = {"800 empty scans": scan_bomb(4096, 800), "16777216 x 1": long_png(2**24), "63 packed texts": text_png(63)}
MIB = 2**20
MORE = 100  # milliseconds that others may wait longer


def measure(effort: Effort) -> Iterator[Finding]:
    sizes = [Image.open(io.BytesIO(data)).size for data in BOMBS.values()]
    expected = [(4096, 4096), (2**24, 1), (64, 64)]
    yield Finding("the files are pictures of these sizes", str(sizes), str(expected), sizes == expected, control=True)
    with Server("--no-verify") as server:
        yield from run(_measured(server, effort.pick(10, 3)))


async def _measured(server: Server, rounds: int) -> list[Finding]:
    async with channel(server.address) as other, channel(server.address) as hostile:
        for data in BOMBS.values():  # once for what is allocated once
            await seconds(_refine(hostile, data))
        alone = [await _others(other) for _ in range(rounds)]
        beside = [await _beside(other, hostile) for _ in range(rounds)]
        findings = []
        for place, name in enumerate(("a check of health", "a Generate")):
            usual = percentile([times[place] for times in alone], 0.5)
            delay = 1000 * (percentile([times[place] for times in beside], 0.5) - usual)
            what = f"delay of {name} by eight scan bombs, median (alone {1000 * usual:.0f} ms)"
            findings.append(at_most(what, max(0.0, delay), MORE, " ms"))
        for name, data in BOMBS.items():
            before = _peak_from_now(server)
            took, code = await seconds(_refine(hostile, data))
            added = (_peak(server) - before) / MIB
            findings.append(at_most(f"memory for {name} ({len(data) // 1000} kB: {code})", added, 8, " MiB"))
            if code != "OK":
                findings.append(at_most(f"until {name} is refused", 1000 * took, 50, " ms"))
    return findings


def _refine(connection: grpc.aio.Channel, image: bytes) -> Any:
    message = pb.RefineRequest(image=image, strength=1.0, **SMALL).SerializeToString()
    return ask(connection, REFINE, message, timeout=120)


async def _others(connection: grpc.aio.Channel) -> tuple[float, float]:
    """Seconds of a check and of a job; infinite for one that fails."""
    found = [
        await check(connection),
        await seconds(ask(connection, GENERATE, job().SerializeToString(), timeout=120)),
    ]
    health, generate = (took if code == "OK" else float("inf") for took, code in found)
    return health, generate


async def _beside(other: grpc.aio.Channel, hostile: grpc.aio.Channel) -> tuple[float, float]:
    """The same while eight bombs are on their way, and cancelled at once."""
    calls = [_refine(hostile, BOMBS["800 empty scans"]) for _ in range(8)]
    await asyncio.sleep(0.05)
    for call in calls:
        call.cancel()
    return await _others(other)


def _peak_from_now(server: Server) -> int:
    """Bytes that the server takes now; its peak is counted from here."""
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    return _peak(server)


def _peak(server: Server) -> int:
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
