"""What a ticket tells the policy: how urgent its job is, how much of it is left, and how long it has waited."""

from __future__ import annotations

import time

import pytest
from safelight_server.jobs import Priority
from safelight_server.lanes.ticket import Standing, Ticket


def test_a_ticket_tells_the_policy_what_its_job_asks_for_at_that_moment() -> None:
    standing = Standing(Priority.BATCH, deadline=100.0, remaining=5.0)
    ticket = Ticket(lambda: standing)
    ready = ticket.ready(now=60.0, seconds=1.0)
    assert (ready.priority, ready.remaining, ready.slack) == (Priority.BATCH, 5.0, 35.0)
    standing = Standing(Priority.NORMAL)
    ready = ticket.ready(now=60.0, seconds=1.0)
    assert (ready.priority, ready.remaining, ready.slack) == (Priority.NORMAL, 1.0, None), "this inference is all"


def test_what_it_has_waited_is_the_time_in_which_none_of_its_steps_ran() -> None:
    ticket, now = Ticket(), time.monotonic()
    assert ticket.ready(now + 20, 0.0).waited == pytest.approx(20, abs=1)
    ticket.served(7.0, lambda other: None)
    assert ticket.ready(now + 20, 0.0).waited == pytest.approx(13, abs=1)
    assert ticket.ready(now + 1, 0.0).waited == 0, "it has run all the time"


def test_tickets_are_in_order_of_arrival() -> None:
    assert Ticket().ready(0.0, 0.0).order < Ticket().ready(0.0, 0.0).order


def test_a_preview_is_as_urgent_as_its_job_and_soon_done() -> None:
    job = Ticket(lambda: Standing(Priority.INTERACTIVE, 100.0, 30.0))
    ready = job.beside(awaited=False).ready(now=60.0, seconds=0.5)
    assert (ready.priority, ready.remaining, ready.slack) == (Priority.INTERACTIVE, 0.5, 39.5)


@pytest.mark.parametrize("awaited", [True, False])
def test_a_lane_is_told_of_a_preview_that_is_awaited(awaited: bool) -> None:
    told: list[Ticket] = []
    job = Ticket()
    job.beside(awaited=True)  # no lane has served the job yet: there is nobody to tell
    job.served(1.0, told.append)
    preview = job.beside(awaited=awaited)
    assert told == ([preview] if awaited else [])


def test_leaving_is_told_once() -> None:
    ticket, told = Ticket(), []
    ticket.leave_with(lambda: told.append("left"))
    ticket.leave()
    ticket.leave()
    assert told == ["left"]
