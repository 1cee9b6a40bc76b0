"""scripts/growth: the meters, what is read of them, straight lines, the page; and one point on a real server."""

from __future__ import annotations

import queue
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from growing import __main__ as command
from growing import page, results
from growing.lines import LINES
from growing.metered import looking_at
from growing.point import Measured, measure
from growing.readings import Reading, read, stretch
from growing.results import Result
from growing.straight import fit
from support import recorded

RUN = recorded.RUN | {"rounds": 2, "seconds": 60}


def measured(scale: float, **more: float) -> Measured:
    return Measured(0.02 * scale, 0.01 * scale, 0.004 * scale, 0.001, 0.003, 1e8 * scale, more)


def test_a_stretch_holds_what_lies_between_its_ends() -> None:
    readings = [
        Reading(0.9, "unet", 9.0, 9),
        Reading(1.1, "unet", 0.5, 2),
        Reading(1.2, "other", 0.25, 1),
        Reading(1.3, "unet", 0.5, 1),
        *(Reading(1.4, "lag", 0.001 * number, 0) for number in range(200)),
        Reading(2.1, "lag", 9.0, 0),
    ]
    assert stretch(readings, 1.0, 2.0) == (1.0, 3, 1.0, 0.25, 0.198, 0.199)


@pytest.mark.parametrize("missing", ["unet", "lag"])
def test_a_stretch_without_steps_or_without_looks_tells_nothing(missing: str) -> None:
    readings = [Reading(1.0, what, 0.1, 1) for what in ("unet", "lag") if what != missing]
    with pytest.raises(ValueError, match="nothing to tell"):
        stretch(readings, 0.0, 2.0)


def test_a_line_that_is_being_written_is_left_for_later(tmp_path: Path) -> None:
    (tmp_path / "meter").write_text("1.5 unet 0.25 2\n1.6 lag 0.0")
    assert read(tmp_path / "meter") == [Reading(1.5, "unet", 0.25, 2)]


def test_lag_is_how_long_a_call_waits_for_the_loop(tmp_path: Path) -> None:
    """The loop runs a call only when it has been given one: what is told is then the time since that was made."""

    calls: queue.Queue[Any] = queue.Queue()
    held: Any = SimpleNamespace(call_soon_threadsafe=lambda *call: calls.put(call))
    with (tmp_path / "meter").open("w", buffering=1) as file:
        with looking_at(held, file):
            heard, called = calls.get()
            calls.get()  # the next one is made though nobody has heard the first
        heard(called)
    (found,) = read(tmp_path / "meter")
    assert found.what == "lag"
    assert found.at - found.seconds == pytest.approx(called)


def test_a_straight_line_is_found_and_a_bent_one_is_not() -> None:
    straight = fit([1, 10, 100], [3.5, 8.0, 53.0])
    assert straight == pytest.approx((3.0, 0.5, 0.0), abs=1e-9)
    assert straight.is_straight
    assert straight.at(200) == pytest.approx(103)
    assert not fit([1, 10, 100], [1.0, 100.0, 10_000.0]).is_straight
    with pytest.raises(ValueError, match="three points"):
        fit([1, 2], [1, 2])


def test_the_middle_is_taken_of_each_number_by_itself() -> None:
    rounds = [measured(1, start=3.0), measured(3, start=1.0), measured(2, start=2.0)]
    assert results.middle(rounds) == measured(2, start=2.0)
    assert measured(1).rest == pytest.approx(0.006)


def test_results_come_back_and_the_page_says_what_is_straight(tmp_path: Path) -> None:
    growing = {1: measured(1, start=1.0), 2: measured(2, start=2.0), 4: measured(4, start=4.0)}
    bent = {1: measured(1, start=1.0), 2: measured(9, start=2.0), 4: measured(4, start=4.0)}
    results.write(tmp_path / "growth.json", {"models": Result(growing, RUN)})
    kept = results.read(tmp_path / "growth.json")
    assert kept == {"models": Result(growing, RUN)}
    assert results.read(tmp_path / "none.json") == {}
    text = page.page(kept)
    assert "| memory | 0.0 MB | 100.0 MB | 0 % | straight |" in text
    assert "| 2 | 40.00 ms | 20.00 ms | 8.00 ms | 12.00 ms | 1.0 ms | 3.0 ms | 200 MB | 2000.0 ms |" in text
    assert "Z80, 1 cores" in text
    assert "beside other work" not in text
    assert "beside other work" in page.page({"models": Result(growing, RUN | {"load": 1.5})})
    assert "| memory | 0.0 MB" not in page.page({"models": Result(bent, RUN)})
    assert "Too few points" in page.page({"models": Result({1: growing[1], 2: growing[2]}, RUN)})


@pytest.mark.parametrize("name", LINES)
def test_each_line_asks_for_more_of_one_thing(name: str) -> None:
    line = LINES[name]
    few, many = line.work(line.points[0]), line.work(line.points[-1])
    assert (few.models, few.arguments, few.options) != (many.models, many.arguments, many.options)
    assert list(line.points) == sorted(line.points)
    assert all(folder.is_dir() for folder in many.models.values())


@pytest.mark.parametrize("name", ["streams", "queue"])
def test_a_point_is_measured_on_a_server_of_its_own(name: str, tmp_path: Path) -> None:
    work = LINES[name].work(2)
    found = measure(work, tmp_path)
    assert found.step > found.unet > 0
    assert found.lag_most >= found.lag_p99 > 0
    assert found.memory > 50e6
    assert all(found.more[told] > 0 for told in LINES[name].more)


def test_the_command_keeps_what_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(command, "measure", lambda work, compiled: measured(len(work.models), start=1.0))
    command.main(["--lines", "models", "--points", "1", "2", "3", "--output", str(tmp_path)])
    assert results.read(tmp_path / "growth.json")["models"].heights("memory") == [1e8, 2e8, 3e8]
    assert "straight" in (tmp_path / "growth.md").read_text(encoding="utf-8")
    assert (tmp_path / "growth.png").stat().st_size > 10_000
