"""The lanes' policy: who overtakes whom, for how long at most, and what must not matter."""

from __future__ import annotations

import random

import pytest
from safelight_server.jobs import Priority
from safelight_server.lanes.policy import TUNING, Ready, choose, line_up, urgency

INTERACTIVE, NORMAL, BATCH = Priority


def ready(
    remaining: float,
    *,
    priority: Priority = NORMAL,
    waited: float = 0.0,
    slack: float | None = None,
    order: int = 0,
) -> Ready:
    return Ready(priority, remaining, waited, slack, order)


def anything(chance: random.Random, count: int) -> list[Ready]:
    """Jobs of every sort, deadlines of every sort among them; no two of the same order."""
    return [
        ready(
            chance.choice([0.085, 1.65, 13.5, 166.0]) * chance.uniform(0.5, 1.5),
            priority=chance.choice(list(Priority)),
            waited=chance.expovariate(0.01),
            slack=chance.choice([None, chance.uniform(-50, 300)]),
            order=order,
        )
        for order in chance.sample(range(1000), count)
    ]


def ranked(jobs: list[Ready]) -> list[Ready]:
    """In the order in which choose() takes them."""
    left, taken = list(jobs), []
    while left:
        taken.append(left.pop(choose(left)))
    return taken


def test_four_steps_overtake_thirty_at_the_next_boundary() -> None:
    long, short = ready(29 * 1.65, waited=1.65, order=0), ready(4 * 1.65, order=1)
    assert choose([long, short]) == 1


def test_a_preview_goes_at_once_and_the_last_step_of_a_long_job_before_a_new_short_one() -> None:
    assert choose([ready(6.6), ready(0.085, order=1), ready(13.5, order=2)]) == 1
    assert choose([ready(13.5, order=1), ready(4.0, order=0)]) == 1


def test_priority_weighs_work_and_does_not_merely_break_ties() -> None:
    same = [ready(13.5, priority=priority) for priority in (BATCH, INTERACTIVE, NORMAL)]
    assert choose(same) == 1
    assert choose([ready(166.0, priority=INTERACTIVE), ready(1.65)]) == 1, "a last step is soon out of the way"
    assert choose([ready(60.0, priority=INTERACTIVE), ready(13.5)]) == 0


@pytest.mark.parametrize("priority", Priority)
def test_a_long_job_under_an_endless_stream_of_short_ones_waits_no_longer_than_its_bound(priority: Priority) -> None:
    work, step, waited = 166.0, 0.5, 0.0
    bound = TUNING.weight[priority] * work / TUNING.ageing
    fresh = ready(step, priority=INTERACTIVE, order=1)
    while waited <= bound and choose([ready(work, priority=priority, waited=waited), fresh]) == 1:
        waited += step
    assert 100 * step < waited <= bound


def test_nothing_that_comes_in_after_the_bound_overtakes() -> None:
    """Whatever it is, if it has no deadline; and with what is there already, this ends every wait."""
    chance = random.Random(5)
    for _ in range(2000):
        long, later = (job._replace(slack=None) for job in anything(chance, 2))
        bound = TUNING.weight[long.priority] * long.remaining / TUNING.ageing
        long = long._replace(waited=later.waited + bound * 1.001)
        assert choose([later, long]) == 1


@pytest.mark.parametrize("priority", Priority)
def test_a_job_that_runs_keeps_the_device_from_those_it_has_overtaken(priority: Priority) -> None:
    """While the others age: else two jobs would take turns, and both end late."""
    first, other = ready(13.5, priority=priority), ready(13.6, priority=priority, order=1)
    for _ in range(8):
        assert choose([other, first]) == 1
        first = first._replace(remaining=first.remaining - 1.65)
        other = other._replace(waited=other.waited + 1.65)


def test_a_deadline_in_danger_goes_before_all_others_and_one_far_off_changes_nothing() -> None:
    preview = ready(0.085, priority=INTERACTIVE)
    tight = TUNING.tight * 100
    assert choose([preview, ready(100.0, priority=BATCH, slack=tight, order=1)]) == 1
    assert choose([preview, ready(100.0, priority=BATCH, slack=0.0, order=1)]) == 1
    assert choose([preview, ready(100.0, priority=BATCH, slack=tight + 0.1, order=1)]) == 0
    far, none = ready(13.5, slack=1e6), ready(13.5)
    assert urgency(far) == urgency(none)


def test_of_deadlines_in_danger_the_earliest_goes_first() -> None:
    due_in_20 = ready(16.0, slack=4.0, order=1)
    due_in_30 = ready(27.0, slack=3.0, order=0, priority=INTERACTIVE)
    assert choose([due_in_30, due_in_20]) == 1


def test_what_cannot_be_done_in_time_goes_last_however_short_or_old() -> None:
    hopeless = ready(0.085, priority=INTERACTIVE, waited=1e6, slack=-0.01)
    assert choose([hopeless, ready(1000.0, priority=BATCH, order=1)]) == 1
    assert choose([hopeless]) == 0, "the estimate may be wrong: it is not refused"
    assert choose([hopeless._replace(waited=0.0, remaining=9.0), hopeless]) == 1, "among themselves as usual"


def test_ties_go_by_arrival_and_then_by_place() -> None:
    assert choose([ready(5.0, order=7), ready(5.0, order=3), ready(5.0, order=9)]) == 1
    assert choose([ready(5.0, order=3), ready(5.0, order=3)]) == 0


def test_the_order_is_total_and_that_of_urgency() -> None:
    chance = random.Random(1)
    for _ in range(200):
        jobs = anything(chance, 12)
        assert ranked(jobs) == sorted(jobs, key=urgency)
        assert ranked(chance.sample(jobs, len(jobs))) == ranked(jobs), "whatever way they are told"


def test_one_more_job_changes_nothing_between_the_others() -> None:
    chance = random.Random(2)
    for _ in range(200):
        more, *jobs = anything(chance, 8)
        assert [job for job in ranked([*jobs, more]) if job != more] == ranked(jobs)


def test_the_unit_of_time_does_not_matter() -> None:
    chance = random.Random(3)
    for scale in (1 / 64, 4.0):  # powers of two, so that no rounding makes a tie
        jobs = anything(chance, 50)
        scaled = [
            job._replace(
                remaining=job.remaining * scale,
                waited=job.waited * scale,
                slack=None if job.slack is None else job.slack * scale,
            )
            for job in jobs
        ]
        assert [job.order for job in ranked(scaled)] == [job.order for job in ranked(jobs)]


def test_waiting_together_changes_nothing_between_jobs_without_deadlines() -> None:
    """So that an idle moment, or a long step of somebody else, reorders nobody."""
    chance = random.Random(4)
    for _ in range(1000):
        pair = [job._replace(slack=None) for job in anything(chance, 2)]
        later = [job._replace(waited=job.waited + 30) for job in pair]
        assert choose(later) == choose(pair)


def test_jobs_of_one_caller_stand_in_one_line() -> None:
    greedy = [Ready(Priority.NORMAL, 2.0, 30.0, None, order, "greedy") for order in range(4)]
    other = Ready(Priority.NORMAL, 3.0, 0.0, None, 9, "other")
    assert [one.remaining for one in line_up([*greedy, other])] == [2.0, 4.0, 6.0, 8.0, 3.0]
    assert choose([*greedy[1:], other]) == 0, "the first of each line is what it is"
    assert choose([greedy[0], other]) == 0
    lined = line_up([*greedy, other])
    order = sorted(range(5), key=lambda i: urgency(lined[i]))
    assert order == [0, 4, 1, 2, 3]


def test_deadlines_of_one_caller_do_not_pass_the_others_by() -> None:
    """Only the first in the line is in danger; the next one is, when that is done."""
    greedy = [Ready(Priority.NORMAL, 2.0, 0.0, 0.5, order, "greedy") for order in range(3)]
    other = Ready(Priority.NORMAL, 1.0, 0.0, None, 9, "other")
    lined = line_up([*greedy, other])
    assert sorted(range(4), key=lambda i: urgency(lined[i])) == [0, 3, 1, 2]


def test_with_one_job_each_callers_change_nothing() -> None:
    ready = [Ready(Priority.NORMAL, float(10 - i), float(i), None, i, f"caller {i}") for i in range(5)]
    assert line_up(ready) == ready
    nobody = [one._replace(caller=None) for one in ready]
    assert line_up(nobody) == nobody
