"""scripts/jobs: a short run of two rows, and that what it checks can fail."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from abusing import page
from abusing.finding import at_most
from job_figures.__main__ import PAGE
from job_figures.history import History
from safelight.v1 import images_pb2 as images
from safelight.v1 import jobs_pb2 as pb

ROOT = Path(__file__).parents[2]
QUICK = ("duplicates", "forks")


def test_a_short_run_meets_every_goal_and_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "jobs.md"
    words = [str(ROOT / "scripts/jobs"), "--quick", "--write", "--output", str(output), "--rows", *QUICK]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = output.read_text()
    assert [line.split(":")[0] for line in told.splitlines() if line.startswith("## ")] == [f"## {n}" for n in QUICK]
    assert "**" not in told, "no goal is missed, and no control fails"


EVENTS = (
    pb.AttachResponse(sequence=1, started=images.Started()),
    pb.AttachResponse(sequence=2, progress=images.Progress(step=1, steps=2)),
    pb.AttachResponse(sequence=4, resumed=images.Resumed()),
    pb.AttachResponse(sequence=6, done=images.Done()),
)


def test_a_history_as_it_should_be() -> None:
    assert not heard(EVENTS).wrong(0)
    assert heard(EVENTS[:2]).at == (0, 1)
    assert not heard(EVENTS[:3]).is_over


@pytest.mark.parametrize("places", [(0, 1, 1, 3), (0, 2, 2, 3), (0, 0, 3), (0, 2), (3,), (0, 3, 2)])
def test_what_is_heard_twice_or_never_or_out_of_order_is_wrong(places: tuple[int, ...]) -> None:
    assert heard([EVENTS[place] for place in places]).wrong(0)


def test_a_picture_that_is_missing_is_wrong() -> None:
    assert heard(EVENTS).wrong(1)


def test_the_page_is_one_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    page.keep(file, [page.Result("kills", "run", [at_most("x", 1, 2)])], PAGE)
    assert file.read_text().startswith("# Jobs that outlive their callers")
    assert "## kills: " in file.read_text()


def heard(events: tuple[pb.AttachResponse, ...] | list[pb.AttachResponse]) -> History:
    history = History("job")
    for event in events:
        history.hear(event)
    return history
