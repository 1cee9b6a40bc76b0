"""The benchmark: statistics, turns, memory, checks, the page; peers that crash; and one row from end to end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from benchmark import __main__ as command
from benchmark import checks, machine, memory, reasons, report, table
from benchmark.cases import CASES, Case
from benchmark.figures import Figure, Goal, summaries
from benchmark.folders import find
from benchmark.metered import Readings
from benchmark.peers import worker
from benchmark.peers.process import Peer, PeerCrashed
from benchmark.request import Request
from benchmark.rounds import interleave
from benchmark.rows import ROWS, Row
from benchmark.rows.against import fastest
from benchmark.session import CheckFailed, Session
from benchmark.summary import percentile, summary

MACHINE = {
    "processor": "Z80",
    "cores": 1,
    "memory": 0.1,
    "system": "CP/M",
    "python": "3",
    "precision": "bf16",
    "packages": {"openvino": "1"},
}
RUN = {"when": "1976-07-01 10:00", "commit": "abc", "load": 0.1, "after": 0.2}
PICTURE = np.random.default_rng(0).integers(0, 250, (8, 8, 3), np.uint8)


def figure(row: int = 1, case: str = "demo", name: str = "latency over genai's", value: float = 1.004) -> Figure:
    samples = summaries({"safelight": [1.2, 1.0, 1.4], "genai": [0.25]})
    return Figure(row, name, case, value=value, goal=Goal(1.01), samples=samples, note="a note", run=RUN)


def test_a_summary_has_the_middle_the_least_and_the_quartiles() -> None:
    found = summary([5.0, 1.0, 3.0, 2.0, 4.0])
    assert (found.n, found.median, found.least, found.quartiles) == (5, 3.0, 1.0, (2.0, 4.0))
    assert found.spread == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="at least one"):
        summary([])


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([float(value) for value in range(100)], 0.95) == 95.0
    assert percentile([3.0], 0.95) == 3.0


def test_ways_take_turns_and_the_first_round_is_thrown_away() -> None:
    order: list[str] = []

    def way(name: str, number: int) -> int:
        order.append(f"{name}{number}")
        return number

    found = interleave({"a": lambda n: way("a", n), "b": lambda n: way("b", n)}, 2, "test", settle=0)
    assert order == ["a0", "b0", "b1", "a1", "a2", "b2"]
    assert found == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [(Goal(1.01), 1.01, True), (Goal(1.01), 1.011, False), (Goal(2.0, at_least=True), 2.0, True)],
)
def test_goals(goal: Goal, value: float, met: bool) -> None:
    assert goal.met(value) is met
    assert goal.text("x") == {True: "≥ 2x", False: "≤ 1.01x"}[goal.at_least]


def test_the_better_peer_is_the_faster_one() -> None:
    samples = summaries({"safelight": [1.0], "safelight, exact": [0.5], "genai": [3.0], "optimum": [2.0]})
    assert fastest(samples) == "optimum"
    assert fastest(samples, ["genai"]) == "genai"


def test_no_cache_knows_a_numbered_prompt() -> None:
    requests = [Request("demo-vega", 64, 1).numbered(number) for number in (0, 1, 12)]
    assert len({one.prompt for one in requests}) == len({one.seed for one in requests}) == 3
    assert len({len(one.prompt) for one in requests}) == 1


def test_memory_counts_a_process_and_its_descendants(tmp_path: Path) -> None:
    for pid, children, total, anonymous in ((1, "2 4", 100, 50), (2, "3", 10, 5), (3, "", 1, 1)):
        (tmp_path / f"{pid}/task/{pid}").mkdir(parents=True)
        (tmp_path / f"{pid}/task/{pid}/children").write_text(children)
        rollup = f"00-ff ---p 00 [rollup]\nRss: 999 kB\nPss: {total} kB\nPss_Anon: {anonymous} kB\nPss_File: 7 kB\n"
        (tmp_path / f"{pid}/smaps_rollup").write_text(rollup)
    assert memory.memory(1, tmp_path) == (111 * 1024, 56 * 1024), "4 has ended"


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this system counts no PSS")
def test_the_peak_is_seen_after_it_is_over() -> None:
    before = memory.memory(os.getpid())
    with memory.Peak(os.getpid(), interval=0.001) as peak:
        held = np.ones(2**23)
        while peak.most.anonymous < before.anonymous + held.nbytes // 2:
            pass
        del held
    assert peak.most.total >= peak.most.anonymous > before.anonymous


def test_pictures_are_held_against_each_other() -> None:
    exact, int8 = Request("demo-xl", 8, 1), Request("demo-vega", 8, 1)
    off, one = PICTURE + np.uint8(3), PICTURE.copy()
    one[0, 0, 0] += 100  # INT8 makes more of what samplers round
    assert checks.judge(exact, PICTURE, {"optimum": PICTURE + np.uint8(2)}).equal
    assert not checks.judge(exact, PICTURE, {"genai": PICTURE, "optimum": off}).equal
    assert not checks.judge(exact, PICTURE, {"genai": one}).equal
    assert checks.judge(int8, PICTURE, {"genai": one}).equal
    assert not checks.judge(int8, PICTURE, {"optimum": one}).equal
    assert not checks.judge(int8, PICTURE, {"genai": off}).equal
    assert not checks.judge(exact, PICTURE, {"optimum": PICTURE[:4]}).equal
    flat = np.full((8, 8, 3), 7, np.uint8)
    assert "flat" in checks.judge(exact, flat, {"optimum": flat}).text


def test_decibels() -> None:
    assert checks.decibels(PICTURE, PICTURE) == float("inf")
    assert checks.decibels(PICTURE, PICTURE + np.uint8(1)) == pytest.approx(48.13, abs=0.01)


def test_a_failed_check_gives_no_number(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(session: Session, case: Case) -> Iterator[Figure]:
        yield figure(value=0.5)
        raise CheckFailed("another picture")

    monkeypatch.setitem(ROWS, 1, Row("fails", fails, ("demo",)))
    (found,) = command.measure(Session({}, "f32", Path()), CASES["demo"], 1)
    assert (found.value, found.met, found.text()) == (None, None, "FAILED")
    page = table.page(MACHINE, [found])
    assert "| FAILED |" in page
    assert "CheckFailed: another picture" in page
    assert "0.5" not in table.goals([found])


def test_the_page_tells_what_is_met_and_what_is_not() -> None:
    page = table.page(MACHINE, [figure(), figure(case="vegart-512", value=1.212)])
    assert f"| 1 | {ROWS[1].title}: latency over genai's | demo | 1.004x | ≤ 1.01x | met |" in page
    assert "| 1.212x | ≤ 1.01x | **not met** |" in page
    assert "not met, by 20 % of the goal: not looked into yet; a note" in page
    assert "| 1 | demo | safelight | 1.20 s | 1.00 s | 16.7 % | 3 |" in page
    assert "| 1 | demo | 1976-07-01 10:00 | abc | 0.1 | 0.2 |" in page


def test_results_are_kept_until_their_row_is_run_again(tmp_path: Path) -> None:
    old = [figure(), figure(name="old name"), figure(case="vegart-512"), figure(row=9)]
    report.write_text(tmp_path, MACHINE, old)
    kept = report.path(tmp_path, MACHINE)
    assert report.read(kept) == old
    assert json.loads(kept.read_text(encoding="utf-8"))["machine"] == MACHINE
    assert kept.with_suffix(".md").read_text(encoding="utf-8") == table.page(MACHINE, old)
    found = report.merge(old, [figure(value=2.0)])
    assert [(one.row, one.case, one.value) for one in found] == [
        (1, "demo", 2.0),
        (1, "vegart-512", 1.004),
        (9, "demo", 1.004),
    ]
    assert report.read(tmp_path / "nothing.json") == []


def test_each_processor_has_a_page_and_the_index_tells_of_all(tmp_path: Path) -> None:
    other = MACHINE | {"processor": "6502 avx2", "precision": "f32"}
    report.write_text(tmp_path, MACHINE, [figure(), figure(case="vegart-512", value=1.2)])
    report.write_text(tmp_path, other, [figure(row=9)])
    assert report.read(report.path(tmp_path, MACHINE)) != report.read(report.path(tmp_path, other))
    index = (tmp_path / "bench.md").read_text(encoding="utf-8")
    assert "| Z80 | 1 | bf16 | 2 | 1 of 2 | 1976-07-01 to 1976-07-01 | [page](bench/z80-1-cores.md)" in index
    assert "| 6502 avx2 | 1 | f32 | 1 | 1 of 1 |" in index


def test_a_reason_holds_on_the_processor_that_it_was_found_on() -> None:
    missed = figure(row=7, name="p95", value=2.0)
    assert "OpenVINO stops between two nodes" in table.notes([missed], reasons.FOUND_ON)
    assert "not looked into yet" in table.notes([missed], "Z80")


def test_instructions_are_named_by_the_widest() -> None:
    assert machine.wide(["sse2", "avx2"]) == ["avx2"]
    assert machine.wide(["avx2", "avx512f", "avx512_bf16"]) == ["avx512f", "avx512_bf16"]


def test_every_row_has_a_case_and_every_case_its_models() -> None:
    assert list(ROWS) == list(range(1, 11))
    assert {case for row in ROWS.values() for case in row.cases} == CASES.keys()
    for case in CASES.values():
        assert {request.model for request in (case.short, case.long, case.quick, case.heavy)} <= set(case.models)


def test_a_meter_is_read_from_where_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "meter"
    path.write_text("other 0.5\n")
    readings = Readings(path)
    assert readings.new() == [("other", 0.5)]
    with path.open("a") as file:
        file.write("unet 0.25\nunet 1\n")
    assert readings.new() == [("unet", 0.25), ("unet", 1.0)]
    assert readings.new() == []


def test_a_peer_that_crashes_is_told(tmp_path: Path) -> None:
    peer = Peer("genai", {}, "f32", tmp_path)
    try:
        with pytest.raises(PeerCrashed, match=r"genai crashed in _exit, with exit code 3; .*genai.log"):
            peer(os._exit, 3)
    finally:
        peer.close()


def test_a_peer_draws_our_picture(tmp_path: Path) -> None:
    """From the copy of a folder that has hardly any file of its own."""
    pytest.importorskip("openvino_genai")
    models = find(["demo-vega"], tmp_path, tmp_path)
    assert find(["demo-vega"], tmp_path, tmp_path) == models
    session = Session(models, "f32", tmp_path)
    request = CASES["demo"].short
    with session:
        (ours,) = session.ours.pictures([request])
        (theirs,) = session.peer("genai")(worker.pictures, [request])
    assert checks.judge(request, ours, {"genai": theirs}).equal
    assert theirs.std() > 50


def test_a_row_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino_genai")
    pytest.importorskip("matplotlib")
    paths = ["--output", str(tmp_path / "out"), "--cache", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--rows", "8", "--rounds", "1", *paths])
    command.main()
    jpeg, png = report.read(report.path(tmp_path / "out", machine.facts()))
    assert (jpeg.name, png.name) == ("JPEG", "PNG")
    assert jpeg.value is not None
    assert jpeg.value > 0
    assert jpeg.samples["safelight, UNet"].least > 0
    assert report.path(tmp_path / "out", machine.facts()).with_suffix(".png").stat().st_size > 10_000
