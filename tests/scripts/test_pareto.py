"""scripts/pareto: which ways there are, which are on the front, the page; and pictures of a real server."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmark.checks import decibels
from benchmark.ours import Ours
from benchmark.server import Server
from safelight_server.demo import FOLDERS
from support.recorded import RUN
from trading import __main__ as command
from trading import measuring, page
from trading.cases import CASES, FULL_SIZE
from trading.front import NEAREST, Point, front
from trading.page import Result
from trading.ways import EXACT, Way


def point(name: str, seconds: float, near: float, kind: str = "INT8") -> Point:
    return Point(name, kind, seconds, 0.1, near, near - 1)


EXACT_POINT = point(EXACT.name, 1.0, NEAREST, "precision")
POINTS = [EXACT_POINT, point("slow", 1.1, 50), point("quick", 0.5, 30), point("worse", 0.6, 29), point("far", 0.1, 9)]


def test_the_front_has_what_nothing_else_beats() -> None:
    assert [each.name for each in front(POINTS)] == ["far", "quick", EXACT.name]
    equal = [point("nearer", 0.5, 31), point("quick", 0.5, 30)]
    assert front(equal) == equal[:1]


def test_each_way_asks_for_another_picture() -> None:
    for case in CASES.values():
        asked = [(way.precision, way.request(case.exact)) for way in case.possible(("BF16", "FP16"))]
        assert len(set(map(repr, asked))) == len(asked)
        assert case.ways[0] == EXACT, "which the others are held against"
        assert EXACT.request(case.exact) == case.exact


def test_what_the_processor_or_the_model_cannot_do_is_left_out() -> None:
    xl, vega = CASES["demo-xl"], CASES["demo-vega"]
    assert {way.precision for way in xl.possible(("FP32", "INT8"))} == {"f32"}
    assert {way.precision for way in xl.possible(("FP32", "BF16"))} == {"f32", "bf16"}
    assert {way.variant for way in xl.possible(())} == {"", "int8", "int8-vae"}
    assert {way.variant for way in vega.possible(())} == {""}


def test_fewer_steps_are_a_share_of_the_exact_ones() -> None:
    exact = CASES["demo-xl"].exact
    assert Way("", "", steps=0.4).request(exact).steps == 10
    assert Way("", "", steps=0.01).request(exact).steps == 1
    assert Way("", "", variant="int8").request(exact).model == "demo-xl-int8"


def test_the_page_has_the_front_in_bold_and_the_points_come_back(tmp_path: Path) -> None:
    page.write(tmp_path / "pareto.json", {"demo-xl": Result(POINTS, RUN)})
    kept = page.read(tmp_path / "pareto.json")
    assert kept == {"demo-xl": Result(POINTS, RUN)}
    assert page.read(tmp_path / "none.json") == {}
    text = page.page(kept)
    assert "| **quick** | 500 ms | 2.00x | 30.0 dB | 29.0 dB | 10 % |" in text
    assert "| worse | 600 ms | 1.67x |" in text
    assert text.index("**far**") < text.index("**quick**") < text.index("| worse")


def test_the_command_keeps_what_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(command, "measure", lambda name, case, cache, rounds: POINTS)
    command.main(["--output", str(tmp_path)])
    assert page.read(tmp_path / "pareto.json").keys() == CASES.keys() - set(FULL_SIZE)
    assert (tmp_path / "pareto.png").stat().st_size > 10_000


def test_nearness_is_that_of_the_pictures(tmp_path: Path) -> None:
    case = CASES["demo-vega"]
    tiny = next(way for way in case.ways if way.name == "tiny decoder")
    server = Ours(Server({"demo-vega": FOLDERS["demo-vega"]}, tmp_path / "log", "--ephemeral", "--precision=f32"))
    try:
        found = measuring.nearness({"f32": server}, [EXACT, tiny], case)
        one = case.exact.numbered(0)
        exact, other = server.pictures([one, tiny.request(one)])
    finally:
        server.close()
    assert found[EXACT.name] == (NEAREST, NEAREST), "the same request draws the same picture"
    median, worst = found[tiny.name]
    assert worst <= decibels(exact, other) < NEAREST
    assert 10 < worst <= median
