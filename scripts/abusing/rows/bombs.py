"""Pictures that are small to send and dear to unpack: what they take of the server, and of the others' time."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from PIL import Image
from safelight.v1 import images_pb2 as pb

from abusing.bombs import long_png, scan_bomb, text_png
from abusing.calls import GENERATE, REFINE, SMALL, ask, channel, check, job, run, seconds
from abusing.finding import Effort, Finding, at_least, at_most, percentile
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
        for kind in ("PNG", "JPEG"):  # for what is allocated once
            await seconds(_refine(hostile, _good(64, kind)))
        alone = [await _others(other) for _ in range(rounds)]
        beside = [await _beside(other, hostile) for _ in range(rounds)]
        findings = []
        for place, name in enumerate(("a check of health", "a Generate")):
            usual = percentile([times[place] for times in alone], 0.5)
            delay = 1000 * (percentile([times[place] for times in beside], 0.5) - usual)
            what = f"delay of {name} by eight scan bombs, median (alone {1000 * usual:.0f} ms)"
            findings.append(at_most(what, max(0.0, delay), MORE, " ms"))
        added, _, code = await _added(server, hostile, _good(2048, "PNG"))
        findings.append(at_least(f"memory for a black 2048 x 2048 ({code})", added, 8, " MiB", control=True))
        for name, data in BOMBS.items():
            added, took, code = await _added(server, hostile, data)
            findings.append(at_most(f"memory for {name} ({len(data) // 1000} kB: {code})", added, 8, " MiB"))
            if code != "OK":
                findings.append(at_most(f"until {name} is refused", 1000 * took, 50, " ms"))
    return findings


async def _added(server: Server, connection: grpc.aio.Channel, image: bytes) -> tuple[float, float, str]:
    """The MiB that the server and its children take for a picture, the seconds, and the code."""
    before, children = _peak_from_now(server), 0
    asked = asyncio.create_task(seconds(_refine(connection, image)))
    while not asked.done():
        children = max(children, _children(server))
        await asyncio.wait([asked], timeout=0.003)
    took, code = await asked
    return (_peak(server) - before + children) / MIB, took, code


def _good(edge: int, kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (edge, edge)).save(file, kind)
    return file.getvalue()


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
    Path(f"/proc/{server.pid}/clear_refs").write_text("5", encoding="utf-8")
    return _peak(server)


def _peak(server: Server) -> int:
    return _status(server.pid, "VmHWM")


def _children(server: Server) -> int:
    """Bytes that the processes hold that it has started."""
    found = 0
    for file in Path(f"/proc/{server.pid}/task").glob("*/children"):
        with suppress(OSError, IndexError):  # it has ended
            found += sum(_status(int(child), "RssAnon") for child in file.read_text().split())
    return found


def _status(process: int, name: str) -> int:
    return int(Path(f"/proc/{process}/status").read_text(encoding="utf-8").split(name + ":")[1].split()[0]) * 1024
