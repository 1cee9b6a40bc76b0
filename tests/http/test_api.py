"""The page's own interface: jobs as ProtoJSON, their events, their pictures, and how it refuses."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from safelight_server.http import api
from support.http_server import Event, stream
from support.pictures import black

DRAW = {"model": "demo-vega", "prompt": "a red apple", "steps": 4}
SLOW = {**DRAW, "width": 1024, "height": 1024, "steps": 50}


def submit(http: httpx.Client, **fields: Any) -> Any:
    answer = http.post("/api/jobs", json={"generate": {**DRAW, **fields}})
    assert answer.status_code == 201, answer.text
    return answer.json()


def watch(http: httpx.Client, job_id: str, query: str = "") -> list[Event]:
    return stream(http, "GET", f"/api/jobs/{job_id}/events{query}")


def test_a_job_from_its_first_event_to_its_picture(http: httpx.Client) -> None:
    job = submit(http, seed=3)
    told = watch(http, job["id"], "?every_steps=2&max_edge=64")
    names = [event.name for event in told]
    assert (names[0], names[-2:]) == ("started", ["image", "done"])
    assert set(names) <= {"queued", "started", "progress", "preview", "image", "done"}
    assert [int(event.id) for event in told] == sorted(int(event.id) for event in told)
    picture = next(event.data for event in told if event.name == "image")
    assert picture["url"] == f"/api/jobs/{job['id']}/images/0"
    assert "data" not in picture
    for event in told:
        if event.name == "preview":
            assert (event.data["width"], event.data["step"] % 2) == (64, 0)

    file = http.get(picture["url"])
    assert file.headers["content-type"] == "image/png"
    assert file.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in file.headers["cache-control"]
    assert file.content.startswith(b"\x89PNG")

    found = http.get(f"/api/jobs/{job['id']}").json()
    assert (found["state"], found["generate"]["seed"]) == ("JOB_STATE_SUCCEEDED", 3)
    assert found["onDisconnect"] == "ON_DISCONNECT_KEEP"


def test_who_comes_back_misses_nothing_and_is_sent_home_after_the_end(http: httpx.Client) -> None:
    job_id = submit(http)["id"]
    told = watch(http, job_id)
    started, done = told[0], told[-1]
    assert [event.name for event in watch(http, job_id, f"?after={started.id}")] == ["image", "done"]
    path = f"/api/jobs/{job_id}/events"
    again = stream(http, "GET", f"{path}?after=0", headers={"last-event-id": started.id})
    assert [event.name for event in again] == ["image", "done"]  # the header goes before the address
    assert http.get(path, headers={"last-event-id": done.id}).status_code == 204  # EventSource comes back no more
    assert http.get(f"{path}?after=99999").json()["error"]["reason"] == "SEQUENCE_AHEAD"
    assert http.get(f"{path}?after=x").status_code == 400


def test_jobs_are_listed_finished_cancelled_and_deleted(http: httpx.Client) -> None:
    first, second = submit(http), submit(http, **{**SLOW, "seed": 5})
    watch(http, first["id"])
    page = http.get("/api/jobs", params={"page_size": 1}).json()
    assert page["jobs"][0]["id"] == second["id"]
    more = http.get("/api/jobs", params={"page_size": 1, "page_token": page["nextPageToken"]}).json()
    assert more["jobs"][0]["id"] == first["id"]
    done = http.get("/api/jobs", params={"state": "JOB_STATE_SUCCEEDED", "model": "demo-vega"}).json()
    assert first["id"] in [job["id"] for job in done["jobs"]]
    assert http.get("/api/jobs", params={"state": "DONE"}).status_code == 400

    assert http.post(f"/api/jobs/{second['id']}/cancel").json()["id"] == second["id"]
    assert watch(http, second["id"])[-1].data["error"]["reason"] == "JOB_CANCELLED"
    assert http.post(f"/api/jobs/{second['id']}/finish").status_code == 200  # it is over: nothing changes

    assert http.delete(f"/api/jobs/{first['id']}").status_code == 204
    assert http.get(f"/api/jobs/{first['id']}").status_code == 404
    assert http.get(f"/api/jobs/{first['id']}/images/0").json()["error"]["code"] == "NOT_FOUND"


def test_a_job_that_rests_is_gone_on_with(http: httpx.Client) -> None:
    job_id = submit(http, stopAtStep=2)["id"]
    assert [event.name for event in watch(http, job_id)][-2:] == ["rested", "done"]
    assert http.get(f"/api/jobs/{job_id}/images/0").headers["content-type"] == "image/jpeg"  # how it looks
    fork = http.post(f"/api/jobs/{job_id}/fork", json={"changes": {"prompt": "a green apple"}})
    assert fork.status_code == 201, fork.text
    assert fork.json()["forkedFrom"] == job_id
    assert watch(http, fork.json()["id"])[-2].name == "image"
    gone = http.post(f"/api/jobs/{job_id}/fork", json={"step": 77}).json()["error"]
    assert (gone["reason"], gone["details"]) == ("CHECKPOINT_GONE", {"nearest_step": "2"})


def test_a_picture_is_redrawn_and_verified(http: httpx.Client) -> None:
    image = base64.b64encode(black(64, 64)).decode()
    job = http.post("/api/jobs", json={"refine": {**DRAW, "image": image, "strength": 0.5, "seed": 1}}).json()
    watch(http, job["id"])
    drawn = submit(http, seed=8)
    watch(http, drawn["id"])
    file = http.get(f"/api/jobs/{drawn['id']}/images/0").content
    verdict = http.post("/api/verify", files={"file": ("a.png", file)}).json()
    assert verdict["same"] is True
    assert http.post("/api/verify", files={"file": ("a.png", b"no picture")}).status_code == 400


def test_models_and_estimates(http: httpx.Client) -> None:
    assert [model["name"] for model in http.get("/api/models").json()["models"]] == ["demo-vega"]
    assert "likely" in http.post("/api/estimate", json={"generate": DRAW}).json()["total"]


@pytest.mark.parametrize(
    ("body", "status", "reason", "field"),
    [
        ({"generate": {**DRAW, "steps": 0}}, 400, "INVALID_REQUEST", "generate.steps"),
        ({"generate": {**DRAW, "model": "nope"}}, 404, "MODEL_NOT_FOUND", "generate.model"),
        ({"generate": {"stepz": 4}}, 400, "INVALID_REQUEST", "body"),
        ({}, 400, "INVALID_REQUEST", "request"),
    ],
)
def test_what_is_bad_is_told_by_field(http: httpx.Client, body: Any, status: int, reason: str, field: str) -> None:
    answer = http.post("/api/jobs", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["reason"], list(error["fields"])) == (status, reason, [field])
    assert answer.headers["x-request-id"]


def test_a_body_is_counted_while_it_is_read(http: httpx.Client) -> None:
    whole = http.post("/api/jobs", content=bytes(api.BODY + 1))
    pieces = http.post("/api/jobs", content=(bytes(2**20) for _ in range(api.BODY // 2**20 + 1)))
    assert [answer.status_code for answer in (whole, pieces)] == [413, 413]
    assert whole.json()["error"]["reason"] == "TOO_LARGE"


def test_what_is_not_there(http: httpx.Client) -> None:
    for path in ("/api/nothing", "/nothing.html", "/..%2fdoor.py", "/static_files.py", "/.hidden.js"):
        answer = http.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND"), path
    assert http.put("/api/jobs").status_code == 405
