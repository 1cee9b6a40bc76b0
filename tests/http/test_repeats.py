"""Which request is a repeat: the rule, and a client that gives up and asks again."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from safelight_server.errors import StillLoading
from safelight_server.http.failures import Gone
from safelight_server.http.repeats import GRACE, Asked, Repeats, attempt_of, identity_of, request_id_of

SAME = identity_of("127.0.0.1", b"body")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def repeats(clock: Clock) -> Repeats:
    return Repeats(clock)


def cut(repeats: Repeats, attempt: int = 0) -> Asked:
    """A request whose connection ends before its answer."""
    asked = repeats.find(SAME, attempt)
    with pytest.raises(Gone), repeats.waiting(SAME, asked):
        raise Gone
    return asked


def answered(repeats: Repeats, attempt: int = 0) -> Asked:
    asked = repeats.find(SAME, attempt)
    with repeats.waiting(SAME, asked):
        asked.answered = True
    return asked


def test_after_a_cut_the_same_body_is_a_repeat_whatever_it_says(repeats: Repeats) -> None:
    first = cut(repeats)
    assert repeats.find(SAME) is first
    assert repeats.find(SAME, 1) is first
    assert repeats.find(identity_of("127.0.0.2", b"body")) is not first


def test_while_the_first_is_open_only_a_repeat_that_says_so_is_one(repeats: Repeats) -> None:
    first = repeats.find(SAME)
    with repeats.waiting(SAME, first):
        assert repeats.find(SAME, 1) is first
        second = repeats.find(SAME)
        assert second is not first


def test_equal_requests_at_the_same_moment_are_two(repeats: Repeats) -> None:
    first, second = repeats.find(SAME), repeats.find(SAME)  # neither connection waits yet
    assert first is not second


def test_two_equal_requests_that_both_time_out_get_a_drawing_each(repeats: Repeats) -> None:
    first = repeats.find(SAME)
    with repeats.waiting(SAME, first):
        second = cut(repeats)
    with pytest.raises(Gone), repeats.waiting(SAME, first):
        raise Gone
    found = {repeats.find(SAME, 1).request_id for _ in range(2)}
    assert found == {first.request_id, second.request_id}


def test_after_the_answer_the_same_body_draws_anew(repeats: Repeats) -> None:
    first = answered(repeats)
    assert repeats.find(SAME) is not first


def test_an_answer_that_crossed_with_the_clients_leaving_is_given_again(repeats: Repeats) -> None:
    first = answered(repeats)
    assert repeats.find(SAME, 1) is first


def test_a_repeat_of_a_new_request_does_not_get_the_answer_before_it(repeats: Repeats) -> None:
    first = answered(repeats)
    second = repeats.find(SAME)
    with pytest.raises(StillLoading), repeats.waiting(SAME, second):
        raise StillLoading  # it is refused, and forgotten
    assert repeats.find(SAME, 1) not in (first, second)


def test_the_grace_ends(repeats: Repeats, clock: Clock) -> None:
    first = cut(repeats)
    clock.now = GRACE - 2
    assert repeats.find(SAME, 1) is first
    clock.now = GRACE
    assert repeats.find(SAME, 2) is not first


def test_what_is_old_is_forgotten(repeats: Repeats, clock: Clock) -> None:
    for number in range(1500):
        clock.now += 1
        repeats.find(identity_of("127.0.0.1", str(number).encode()))
    assert len(repeats._asked) < 1100


def test_what_headers_say() -> None:
    assert [attempt_of(text) for text in (None, "", "0", "2", "x", "99999")] == [0, 0, 0, 2, 0, 0]
    assert request_id_of("a", "key") == request_id_of("a", "key") != request_id_of("b", "key")
    assert len(request_id_of("a", "key")) <= 36
    assert identity_of("a", b"bc", b"d") != identity_of("a", b"b", b"cd")


# ---- against a server ----

BODY: dict[str, Any] = {"model": "demo-vega", "prompt": "a slow apple", "steps": 50}
DRAW = "/v1/images/generations"


def drawings(http: httpx.Client, prompt: str) -> list[Any]:
    jobs = http.get("/api/jobs", params={"page_size": 100}).json()["jobs"]
    return [job for job in jobs if job.get("generate", {}).get("prompt") == prompt]


@pytest.mark.parametrize("headers", [{}, {"x-stainless-retry-count": "1"}], ids=["silent", "told"])
def test_a_client_that_gives_up_and_asks_again_gets_the_one_drawing(http: httpx.Client, headers: Any) -> None:
    body = {**BODY, "prompt": f"given up, {headers}"}
    with pytest.raises(httpx.ReadTimeout):
        http.post(DRAW, json=body, timeout=0.3)
    time.sleep(0.1)
    answer = http.post(DRAW, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    jobs = drawings(http, body["prompt"])
    assert [job["id"] for job in jobs] == [answer.headers["x-safelight-job-id"]]
    http.post(DRAW, json={**body, "steps": 1})
    assert http.post(DRAW, json={**body, "steps": 1}).status_code == 200
    assert len(drawings(http, body["prompt"])) == 3  # each new request is a new drawing


def test_a_key_makes_requests_the_same_one(http: httpx.Client) -> None:
    body, key = {**BODY, "prompt": "keyed", "steps": 2}, {"idempotency-key": "my-order-1"}
    first, second = (http.post(DRAW, json=body, headers=key) for _ in range(2))
    assert first.json()["data"] == second.json()["data"]
    assert len(drawings(http, "keyed")) == 1
    other = http.post(DRAW, json={**body, "steps": 3}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "request_id_reused")
