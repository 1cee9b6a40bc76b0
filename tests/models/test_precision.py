"""The precision of each network is the fastest on this machine: measured once, by a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from safelight_server.engine.engine import Engine
from safelight_server.errors import InferenceFailed
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Tensor
from safelight_server.models import batch_profile, learning, precision
from safelight_server.models.device import Device
from safelight_server.models.learning import Learning
from safelight_server.models.notes import Notes
from safelight_server.models.precision import best, choose
from safelight_server.models.registry import Registry
from support import compiled
from support.engines import CONFIGS, VEGA, draw, run
from support.networks import ROW, FakeNetwork

AMONG = "bf16", "f32", "f16"
MEASURED = "text_encoder", "text_encoder_2", "unet", "vae_decoder", "vae_tiny_decoder"


PACKING = 100.0  # seconds more, of the first run after each loading


class Timed(FakeNetwork):
    """Takes so many seconds in each precision, of the clock `now`."""

    precision = "bf16"

    def __init__(self, seconds: Mapping[str, float], now: list[float], fails: str = "") -> None:
        super().__init__("m/unet", [])
        self.seconds, self.now, self.fails, self.loaded = seconds, now, fails, list[str]()
        self.packed = False

    def load(self, precision: str = "") -> None:
        self.loaded.append(precision)
        self.precision, self.broken, self.packed = precision or self.precision, False, False

    async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        await asyncio.sleep(0)
        if self.precision == self.fails:
            self.broken = True
            raise InferenceFailed(self.name)
        self.now[0] += self.seconds[self.precision] + PACKING * (not self.packed)
        self.packed = True
        return {"y": inputs["x"]}


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("safelight_server.lanes.lane.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({"bf16": 8.0, "f32": 5.9, "f16": 8.4}, "f32"),
        ({"bf16": 3.6, "f32": 6.0, "f16": 6.0}, "bf16"),
        ({"bf16": 1.05, "f32": 1.0, "f16": 1.0}, "bf16"),  # less than a tenth: the device's own stays
        ({"bf16": 0.3, "f32": 0.2, "f16": 0.1}, "f16"),
    ],
)
def test_the_fastest_is_kept(now: list[float], seconds: dict[str, float], chosen: str) -> None:
    async def test() -> None:
        lane, network = Lane("CPU"), Timed(seconds, now)
        found = await choose(lane, network, [ROW, ROW], AMONG, lambda name: True)
        assert found == pytest.approx(seconds)
        assert network.precision == chosen
        assert lane.step_times.seconds(network.name, (1, 2)) == pytest.approx(seconds[chosen])
        assert network.loaded.count(chosen) <= 2, "a graph at a time: it is compiled again if another one was tried"

    run(test)


def test_what_has_no_room_or_does_not_run_is_left_out(now: list[float]) -> None:
    async def test() -> None:
        seconds = {"bf16": 3.0, "f32": 1.0, "f16": 2.0}
        lane, network = Lane("CPU"), Timed(seconds, now)
        assert await choose(lane, network, [ROW, ROW], AMONG, lambda name: name != "f32") == {"bf16": 3.0, "f16": 2.0}
        assert network.precision == "f16"
        network = Timed(seconds, now, fails="f32")
        assert await choose(lane, network, [ROW, ROW], AMONG, lambda name: True) == {"bf16": 3.0, "f16": 2.0}
        assert (network.precision, network.broken) == ("f16", False)

    run(test)


def test_the_device_s_own_is_right_where_nothing_was_measured() -> None:
    assert best({}, "bf16") == "bf16"
    assert best({"f32": 1.0}, "bf16") == "f32", "its own did not run"


def test_only_a_cpu_has_a_choice() -> None:
    assert precision.candidates("CPU")[0] == precision.usual("CPU")
    assert "f32" in precision.candidates("CPU")
    assert precision.candidates("GPU.7") == ("f32",)


def test_it_is_measured_once_and_a_restart_changes_no_picture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On a machine whose networks run in another precision than its own, as far as the log and the notes know."""
    tried: list[str] = []

    async def measure(lane: Lane, network: FakeNetwork, rows: object, among: object, fits: object) -> dict[str, float]:
        tried.append(network.name)
        return {"f32": 1.0, "bf16": 2.0}

    monkeypatch.setattr(precision, "candidates", lambda device: ("bf16", "f32"))
    monkeypatch.setattr(precision, "choose", measure)
    monkeypatch.setattr(batch_profile, "PATIENCE", 0.0)
    caplog.set_level("INFO")
    device = Device(cache=compiled.folder(), measures=True)

    async def start(notes: Path | None) -> tuple[list[bytes], Mapping[str, str]]:
        registry = Registry(max_edge=512, notes=Notes(notes))
        model = await registry.load("demo-vega", CONFIGS["demo-vega"], device)
        engine = Engine(registry.models, slots=1, queue=1)
        return await draw(engine, VEGA), model.info.precisions

    async def test() -> None:
        first, precisions = await start(tmp_path)
        assert tried == [f"demo-vega/{part}" for part in MEASURED]
        assert set(precisions) == {*MEASURED, "vae_encoder"}
        del tried[:]
        assert await start(tmp_path) == (first, precisions)
        assert not tried, "it is written down"
        monkeypatch.setattr("safelight_server.models.surroundings.runtime", lambda: "2027.1")
        caplog.clear()
        await start(tmp_path)
        assert tried, "anew, for what it hangs on has changed"
        assert "measured anew: OpenVINO was " in caplog.text

    run(test)


def test_what_takes_more_memory_is_tried_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine whose own choice is bf16: f32 takes as much again as the file of the weights has."""
    config = CONFIGS["demo-xl"]
    weights = config.graph("unet").with_suffix(".bin").stat().st_size
    monkeypatch.setattr(precision, "usual", lambda device: "bf16")
    monkeypatch.setattr(learning, "resident", lambda: 10**9)
    free = [0]
    monkeypatch.setattr(learning, "available", lambda: free[0])

    def fits(name: str, limit: int | None = None) -> bool:
        return Learning(Notes(), config, Device(measures=True), limit)._fits("unet", name)

    assert fits("f16")
    assert not fits("f32")
    free[0] = round(weights / learning.SHARE)
    assert fits("f32")
    assert fits("f32", limit=10**9 + weights)
    assert not fits("f32", limit=10**9 + weights - 1)
