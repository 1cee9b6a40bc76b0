"""Which precision is the fastest here: of each network, one real inference in each that the processor has.

On some processors bf16 is the device's own choice and the slowest: an Intel Xeon with AVX512_BF16 and without AMX
multiplies matrices at 189 GFLOP/s in bf16, and at 332 in f32. On others it is the fastest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import openvino as ov

from safelight_server.errors import InferenceFailed, MemoryShort
from safelight_server.lanes.compiled_network import short_precision
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network, Tensor

log = logging.getLogger(__name__)

GAIN = 1.1  # times as fast as the device's own choice: for less, it stays
SHORT, TIMES = 1.0, 3  # a run of fewer seconds is timed so often: the median counts

Inputs = Mapping[str, Tensor]


@cache
def candidates(device: str) -> tuple[str, ...]:
    """The device's own choice first. A device that is no CPU has no other: a GPU's own is right."""
    own = usual(device)
    if not device.startswith("CPU"):
        return (own,)
    able = ov.Core().get_property(device, "OPTIMIZATION_CAPABILITIES")
    return own, *(name for name, told in (("f32", "FP32"), ("f16", "FP16")) if name != own and told in able)


@cache
def usual(device: str) -> str:
    """The precision that a device takes by itself."""
    try:
        told = short_precision(ov.Core().get_property(device, "INFERENCE_PRECISION_HINT").to_string())
    except RuntimeError:  # virtual devices, as AUTO, do not say
        return "f32"
    return told if told in ("bf16", "f16") else "f32"


async def choose(
    lane: Lane,
    network: Network,
    rows: Sequence[Inputs],
    among: Sequence[str],
    fits: Callable[[str], bool],
) -> dict[str, float]:
    """Seconds of a run of the last of `rows`, by precision; the network is left in the one that is best.

    The first row is a small one, by which weights are packed. `among`: the one that the network has, and others.
    `fits`: whether there is memory for a precision. One graph is there at a time: weights are never packed twice.
    """
    seconds: dict[str, float] = {}
    for name in among:
        if name != network.precision and not fits(name):
            log.info("%s: %s is not tried: there is no memory for it", network.name, name)
            continue
        try:
            await _change(lane, network, name)
            await lane.run(network, rows[0])  # it packs the weights: that is no part of what a step takes
            seconds[name] = await _timed(lane, network, rows[-1])
        except (InferenceFailed, MemoryShort, RuntimeError) as error:
            log.warning("%s is not tried in %s: %s", network.name, name, error)
    chosen = best(seconds, among[0])
    await _change(lane, network, chosen)
    lane.step_times.forget(network.name)
    if chosen in seconds:
        lane.step_times.observe(network.name, next(iter(rows[-1].values())).shape, seconds[chosen])
    return seconds


def best(seconds: Mapping[str, float], own: str) -> str:
    """The fastest precision, if it is GAIN times as fast as the device's own."""
    fastest = min(seconds, key=lambda name: seconds[name], default=own)
    return fastest if seconds.get(own, float("inf")) >= GAIN * seconds.get(fastest, 0.0) else own


async def _change(lane: Lane, network: Network, name: str) -> None:
    if network.precision != name or network.broken:
        async with lane.turn():
            await asyncio.to_thread(network.load, name)


async def _timed(lane: Lane, network: Network, row: Inputs) -> float:
    """By the lane's clock: it leaves out what others run meanwhile."""
    shape = next(iter(row.values())).shape
    lane.step_times.forget(network.name)
    for _ in range(TIMES):
        await lane.run(network, row)
        if lane.step_times.seconds(network.name, shape) > SHORT:
            break
    return lane.step_times.seconds(network.name, shape)
