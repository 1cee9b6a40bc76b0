"""The simulator by sums that can be done by hand; then what it says of the policies, on a small trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safelight_server.jobs import Priority
from safelight_server.lanes import policy
from safelight_server.lanes.policy import Ready
from simulator import figures
from simulator.events import play
from simulator.lanes import Choose, Lane, Run, SharedLane, StepLane
from simulator.policies import first_come, ours, round_robin, shortest_first, to_compare
from simulator.traces import Job, Step, Traffic

STEPWISE = [first_come, round_robin, shortest_first]


def job(
    *seconds: float,
    order: int = 0,
    arrival: float = 0.0,
    lane: int = 0,
    preview: float = 0.0,
    deadline: float | None = None,
    leaves: float | None = None,
) -> Job:
    """One step for each of `seconds`; the preview follows the first."""
    steps = [Step(lane, s, s, preview if i == 0 else 0.0, "unet") for i, s in enumerate(seconds)]
    return Job(order, False, Priority.NORMAL, arrival, tuple(steps), deadline, leaves)


def ends(jobs: Sequence[Job], *lanes: Lane, inline: bool = False) -> list[float | None]:
    return [run.ended for run in play(jobs, lanes, inline=inline)]


def ours_lane() -> Lane:
    return ours().lane()


@pytest.mark.parametrize(
    ("lane", "vega", "all_jobs"),
    [
        (lambda: StepLane(first_come, {}), 193.0, 186.25),
        (lambda: SharedLane(loss=1.0), 54.0, 92.1),
        (lambda: StepLane(shortest_first, {}), 27.0, 71.9),
        (ours_lane, 27.0, 71.9),
    ],
)
def test_one_sdxl_and_three_vegart_jobs_as_computed_by_hand(
    lane: Callable[[], Lane], vega: float, all_jobs: float
) -> None:
    sdxl = job(*[4.15] * 40)
    vegart = [job(0.36, 1.685, 1.685, 1.685, 1.685, 6.4, order=i) for i in (1, 2, 3)]
    latencies = [ended or 0.0 for ended in ends([sdxl, *vegart], lane())]
    assert np.mean(latencies[1:]) == pytest.approx(vega)
    assert np.mean(latencies) == pytest.approx(all_jobs, abs=0.05)


def test_threads_lose_what_was_measured_only_while_they_are_several() -> None:
    both = 2 * 1.06 * 10
    assert ends([job(10.0), job(15.0)], SharedLane()) == pytest.approx([both, both + 5.0])


def test_round_robin_takes_turns() -> None:
    assert ends([job(1.0, 1.0), job(1.0, 1.0)], StepLane(round_robin, {})) == [3.0, 4.0]


def test_a_step_is_run_to_its_end_and_then_the_short_job_goes() -> None:
    jobs = [job(10.0, 10.0), job(1.0, arrival=2.0)]
    assert ends(jobs, StepLane(shortest_first, {})) == [21.0, 11.0]
    assert ends(jobs, StepLane(first_come, {})) == [20.0, 21.0]


def test_lanes_work_side_by_side_and_a_job_may_go_from_one_to_the_other() -> None:
    handed_over = job(2.0, 3.0)
    there = handed_over.steps[1]._replace(lane=1)
    handed_over = handed_over._replace(steps=(handed_over.steps[0], there))
    lanes = [StepLane(first_come, {}) for _ in range(2)]
    assert ends([handed_over, job(4.0, order=1, lane=1), job(1.0, order=2)], *lanes) == [7.0, 4.0, 3.0]


@pytest.mark.parametrize("lane", [lambda: StepLane(first_come, {}), lambda: SharedLane(loss=1.0)])
def test_a_client_that_leaves_frees_the_lane_at_once(lane: Callable[[], Lane]) -> None:
    (left, other) = play([job(10.0, leaves=2.0), job(3.0, order=1, arrival=2.0)], [lane()], inline=False)
    assert (left.ended, left.finished) == (2.0, False)
    assert other.ended == 5.0


def test_a_deadline_ends_a_job_unless_it_is_just_done() -> None:
    runs = play([job(5.0, deadline=5.0), job(5.0, order=1, deadline=9.0)], [StepLane(first_come, {})], inline=False)
    assert [(run.ended, run.finished) for run in runs] == [(5.0, True), (9.0, False)]
    assert figures.mean(figures.missed())(runs) == 0.5


def test_a_preview_in_a_callback_holds_up_its_own_job_and_a_preview_of_its_own_need_not() -> None:
    jobs = [job(1.0, 1.0, preview=0.5)]
    assert ends(jobs, StepLane(first_come, {}), inline=True) == [2.5]
    last = StepLane(lambda waiting, now: len(waiting) - 1, {})  # the job's own next step
    assert ends(jobs, last) == [2.0]
    (run,) = play(jobs, [StepLane(first_come, {})], inline=False)
    assert run.delays == [0.5]


def test_joined_steps_cost_what_the_table_says() -> None:
    jobs = [job(1.0, 1.0, order=i) for i in range(5)]
    # Four as one batch twice, then one alone twice; or a pair, when only three are there.
    assert ends(jobs, StepLane(first_come, {2: 1.25, 4: 2.0})) == [4.0, 4.0, 4.0, 4.0, 6.0]
    assert ends(jobs[:3], StepLane(first_come, {2: 1.25, 4: 2.0})) == [2.5, 2.5, 4.5]
    other = jobs[1]._replace(steps=tuple(step._replace(graph="other") for step in jobs[1].steps))
    assert ends([jobs[0], other], StepLane(first_come, {2: 1.25})) == [2.0, 4.0]


@pytest.mark.parametrize("choose", STEPWISE)
def test_no_order_of_steps_loses_work(choose: Choose) -> None:
    jobs = [each._replace(arrival=0.0) for each in trace(jobs=100, speeds=(1.0,), leaving=0.0, deadlines=0.0)]
    runs = play(jobs, [StepLane(choose, {})], inline=False)
    work = sum(job.alone for job in jobs)
    drawn = sum(step.preview for job in jobs for step in job.steps)
    assert work <= figures.makespan(runs) <= work + drawn + 1e-6


def trace(**values: object) -> list[Job]:
    return replace(Traffic(), **values).trace()  # type: ignore[arg-type]


@pytest.mark.parametrize("arrivals", ["poisson", "bursty"])
def test_a_trace_has_the_load_it_was_asked_for(arrivals: str) -> None:
    jobs = trace(jobs=6_000, arrivals=arrivals, load=0.7, speeds=(1.0, 3.0))
    busy = [sum(step.seconds for job in jobs for step in job.steps if step.lane == lane) for lane in range(2)]
    assert np.array(busy) / jobs[-1].arrival == pytest.approx([0.7, 0.7], rel=0.1)
    gaps = np.diff([job.arrival for job in jobs])
    spread = float(np.std(gaps) / np.mean(gaps))
    assert spread == pytest.approx(1.0, abs=0.05) if arrivals == "poisson" else spread > 3


def test_a_seed_gives_one_trace_and_one_outcome() -> None:
    def outcome(seed: int) -> list[tuple[float | None, bool]]:
        runs = play(trace(jobs=150, seed=seed), [ours_lane() for _ in range(3)], inline=False)
        return [(run.ended, run.finished) for run in runs]

    assert outcome(1) == outcome(1)
    assert outcome(1) != outcome(2)


def test_ours_is_the_function_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Ready] = []

    def first(ready: Sequence[Ready], tuning: policy.Tuning) -> int:
        seen.extend(ready)
        return 0

    monkeypatch.setattr(policy, "choose", first)
    late = job(2.0, order=1, arrival=1.0, deadline=10.0)
    assert ends([job(4.0, 1.0), late], ours_lane()) == [7.0, 6.0]
    assert seen == [
        Ready(Priority.NORMAL, 5.0, 0.0, None, 0),
        Ready(Priority.NORMAL, 2.0, 3.0, 4.0, 1),
        Ready(Priority.NORMAL, 1.0, 0.0, None, 0),
        Ready(Priority.NORMAL, 1.0, 2.0, None, 0),
    ]


def test_what_the_policy_is_for_shows_in_the_figures() -> None:
    traffic = Traffic(jobs=800, arrivals="bursty")
    jobs = traffic.trace()
    played: dict[str, list[Run]] = {
        each.name: play(jobs, [each.lane() for _ in traffic.speeds], inline=each.inline) for each in to_compare({})
    }
    locked, shared, _, shortest, safelight = played.values()
    interactive = figures.mean(figures.latency(figures.of(Priority.INTERACTIVE)))
    missed = figures.mean(figures.missed())
    assert interactive(safelight) < 0.5 * interactive(shared)
    assert interactive(safelight) < 0.3 * interactive(locked)
    assert missed(safelight) < 0.3 * missed(shortest) < missed(shared)


def test_the_command_prints_tables_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    from simulator.__main__ import main

    main(["--jobs", "60", "--gains", "2:1.5", "--tune", "--arrivals", "poisson", "--plot", str(tmp_path / "a.png")])
    printed = capsys.readouterr().out
    assert "| Safelight, joined |" in printed
    assert f"| **{policy.TUNING.ageing}** |" in printed, "the server's own value is among those that are tried"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "wrong", ["--load=0", "--speeds=-1", "--gains=1:1", "--gains=8:9", "--gains=8", "--jobs=0", "--leaving=2"]
)
def test_the_command_refuses(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    from simulator.__main__ import main

    with pytest.raises(SystemExit):
        main([wrong])
    assert f"argument {wrong.partition('=')[0]}" in capsys.readouterr().err
