"""scripts/abuse: its figures, its page, and a short run of the rows that no busy machine can make fail."""

from __future__ import annotations

import io
import math
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from abusing import __main__ as command
from abusing import bombs, page
from abusing.finding import Effort, Finding, at_least, at_most, jain, percentile
from abusing.rows import ROWS, Row
from PIL import Image

ROOT = Path(__file__).parents[2]
QUICK = ("failures", "neighbour", "watch")


def test_a_short_run_meets_every_goal_and_is_kept(tmp_path: Path) -> None:
    """Two forced failures, some seconds of cancels, and a watcher who takes nothing."""
    output = tmp_path / "abuse.md"
    words = [str(ROOT / "scripts/abuse"), "--quick", "--write", "--output", str(output), "--rows", *QUICK]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = output.read_text()
    assert [line.split(":")[0] for line in told.splitlines() if line.startswith("## ")] == [f"## {n}" for n in QUICK]
    assert "**" not in told, "no goal is missed, and no control fails"


def test_jains_index() -> None:
    assert jain([3, 3, 3]) == 1
    assert jain([5, 0, 0, 0]) == 0.25
    assert jain([0, 0]) == 0, "nobody was served: that is not fair"


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([3.0, 1.0], 0.5) == 1
    assert math.isnan(percentile([], 0.5))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_could_not_be_measured_does_not_meet_a_goal(value: float) -> None:
    assert not at_most("x", value, 1).met
    assert not at_least("x", math.nan, 1).met


def test_a_page_keeps_the_rows_that_did_not_run(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    page.keep(file, [_result("watch", 1), _result("failures", 2)])
    page.keep(file, [_result("watch", 3)])
    parts = file.read_text().split("\n## ")
    assert [part.split(":")[0] for part in parts[1:]] == ["failures", "watch"]
    assert "| failures | x | 2 | <= 2 | met |" in parts[1]
    assert "| watch | x | 3 | <= 2 | **not met** |" in parts[2]
    assert file.read_text().count("| watch |") == 1


def test_a_row_that_fails_is_a_goal_not_met(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(_: Effort) -> Iterator[Finding]:
        yield at_most("x", 1, 1)
        raise RuntimeError("the server has ended")

    monkeypatch.setitem(ROWS, "watch", Row("", measure))
    findings = command.measured("watch", Effort()).findings
    assert [(finding.measured, finding.met) for finding in findings] == [
        ("1", True),
        ("RuntimeError: the server has ended", False),
    ]


def test_the_bombs_are_pictures() -> None:
    for data, size in ((bombs.scan_bomb(512, 3), (512, 512)), (bombs.text_png(3), (64, 64))):
        picture = Image.open(io.BytesIO(data))
        picture.load()
        assert picture.size == size
    assert len(bombs.scan_bomb(4096, 800)) < 70_000


def _result(name: str, value: float) -> page.Result:
    return page.Result(name, "run", [at_most("x", value, 2)])
