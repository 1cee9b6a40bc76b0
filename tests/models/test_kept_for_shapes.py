"""What OpenVINO keeps for each size of picture is bounded, and changes no picture.

What it takes with the bound and without: pytest -m slow -s tests/models/test_kept_for_shapes.py
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from safelight_server import demo
from safelight_server.model_folder import model_config
from safelight_server.models import device, surroundings
from safelight_server.models.device import Device

SIZES = 120

# In a process of its own: what is kept for one bound must not count for the other.
DRAWING = """
import asyncio, random, sys
from dataclasses import replace
from safelight_server.engine.engine import Engine
from safelight_server.lanes.buffers import resident
from safelight_server.models import device
from support.engines import VEGA, draw, load

device.KEPT_FOR_SHAPES = int(sys.argv[1])

async def test():
    engine = Engine({"demo-vega": load("demo-vega", device=device.Device(precision="f32"))}, slots=1, queue=1)
    dice, sizes = random.Random(0), int(sys.argv[2])
    await draw(engine, replace(VEGA, steps=1, size=(384, 384)))
    for done in range(sizes + 1):
        if done % (sizes // 2) == 0:
            print(resident())
        size = dice.randrange(64, 385, 8), dice.randrange(64, 385, 8)
        await draw(engine, replace(VEGA, steps=1, id=str(done), size=size))

asyncio.run(test())
"""


def test_the_bound_is_a_cpus_and_no_part_of_what_pictures_hang_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Device().settings()["CPU_RUNTIME_CACHE_CAPACITY"] == device.KEPT_FOR_SHAPES
    assert "CPU_RUNTIME_CACHE_CAPACITY" not in Device("GPU").settings()
    config = model_config.read(demo.FOLDERS["demo-vega"])
    before = surroundings.identity(config, Device())
    monkeypatch.setattr(device, "KEPT_FOR_SHAPES", 7)
    assert surroundings.identity(config, Device()) == before


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_does_not_grow_with_every_size() -> None:
    grown = {}
    for bound in (device.KEPT_FOR_SHAPES, 5000):
        command = [sys.executable, "-c", DRAWING, str(bound), str(SIZES)]
        told = subprocess.run(command, check=True, capture_output=True, text=True, cwd="tests").stdout.split()
        begin, half, end = (int(count) / 1e6 for count in told)
        grown[bound] = end - half
        print(f"{bound} pieces a network: {begin:.0f} MB, after {SIZES // 2} sizes {half:.0f}, after {SIZES} {end:.0f}")
    assert grown[device.KEPT_FOR_SHAPES] < grown[5000] / 2
