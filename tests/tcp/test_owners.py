"""Jobs belong to whoever made them: for others they are not there, by no door and by no method."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.longrunning import operations_grpc_pb2
from google.longrunning import operations_proto_pb2 as pb
from safelight import Client, NotFound, SafelightError
from safelight_server.callers import Right
from support.access import new_tokens
from support.failures import failure
from support.http_server import SMALL, HttpServer
from support.servers import ServerProcess


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    file = tmp_path_factory.mktemp("owners") / "tokens"
    return file, new_tokens(file, alice=Right.DRAW, bob=Right.DRAW, boss=Right.ADMIN)


@pytest.fixture(scope="module")
def server(tokens: tuple[Path, dict[str, str]]) -> Iterator[HttpServer]:
    with HttpServer(f"--tokens={tokens[0]}", "--share=3") as process:
        yield process


@pytest.fixture
def callers(server: HttpServer, tokens: tuple[Path, dict[str, str]]) -> Iterator[dict[str, Client]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(Client(server.address, token=token)) for name, token in tokens[1].items()}


@pytest.fixture
def doors(server: HttpServer, tokens: tuple[Path, dict[str, str]]) -> Iterator[dict[str, httpx.Client]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(server.client(headers={"authorization": f"Bearer {token}"}))
            for name, token in tokens[1].items()
        }


SHORT: dict[str, Any] = {"steps": 2}
LONG: dict[str, Any] = {"steps": 150, "num_images": 16, "scheduler": "euler"}  # minutes

BY_ID: dict[str, Callable[[Client, str], object]] = {
    "get": lambda client, job_id: client.job(job_id).status(),
    "attach": lambda client, job_id: list(client.job(job_id).events()),
    "result": lambda client, job_id: client.job(job_id).result(),
    "cancel": lambda client, job_id: client.job(job_id).cancel(),
    "finish": lambda client, job_id: client.job(job_id).finish(),
    "fork": lambda client, job_id: client.job(job_id).fork(prompt="a frog"),
    "delete": lambda client, job_id: client.job(job_id).delete(),
}


@pytest.mark.parametrize("over", [False, True], ids=["running", "over"])
def test_another_ones_job_is_not_there(over: bool, callers: dict[str, Client], doors: dict[str, httpx.Client]) -> None:
    job = callers["alice"].submit("an owl", **(SHORT if over else LONG))
    if over:
        job.result()
    for name, call in BY_ID.items():
        with pytest.raises(NotFound) as caught:
            call(callers["bob"], job.id)
        assert caught.value.reason == "JOB_NOT_FOUND", name
    path = f"/api/jobs/{job.id}"
    for method, rest in (
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/images/0"),
        ("POST", "/cancel"),
        ("POST", "/finish"),
        ("POST", "/fork"),
        ("DELETE", ""),
    ):
        assert doors["bob"].request(method, path + rest).status_code == 404, rest
    assert job.id not in [found.id for found in callers["bob"].jobs()]
    assert job.id in [found.id for found in callers["boss"].jobs()]
    assert job.id in doors["alice"].get("/api/jobs").text
    assert job.id not in doors["bob"].get("/api/jobs").text
    assert callers["boss"].job(job.id).status().id == job.id
    assert callers["alice"].job(job.id).status().state == ("succeeded" if over else "running")
    callers["boss"].job(job.id).delete()


def test_operations_are_their_owners(
    server: HttpServer, callers: dict[str, Client], tokens: tuple[Path, dict[str, str]]
) -> None:
    job = callers["alice"].submit("an owl", **SHORT)
    job.result()
    with grpc.insecure_channel(server.address) as channel:
        stub = operations_grpc_pb2.OperationsStub(channel)
        bob = [("authorization", f"Bearer {tokens[1]['bob']}")]
        name = f"jobs/{job.id}"
        calls: list[tuple[Any, Any]] = [
            (stub.GetOperation, pb.GetOperationRequest(name=name)),
            (stub.WaitOperation, pb.WaitOperationRequest(name=name)),
            (stub.CancelOperation, pb.CancelOperationRequest(name=name)),
            (stub.DeleteOperation, pb.DeleteOperationRequest(name=name)),
        ]
        for method, request in calls:
            assert failure(partial(method, request, metadata=bob)).reason == "JOB_NOT_FOUND"
        assert not stub.ListOperations(pb.ListOperationsRequest(), metadata=bob).operations
    assert job.status().state == "succeeded"


def test_a_request_id_is_each_callers_own(callers: dict[str, Client]) -> None:
    first = callers["alice"].submit("an owl", **SHORT, seed=1, request_id="mine")
    second = callers["bob"].submit("a frog", **SHORT, seed=1, request_id="mine")
    assert second.id != first.id
    assert callers["alice"].submit("an owl", **SHORT, seed=1, request_id="mine").id == first.id
    assert first.result().image.tobytes() != second.result().image.tobytes()


def test_equal_drawings_of_two_callers_are_two_jobs(callers: dict[str, Client]) -> None:
    jobs = [callers[name].submit("an owl", steps=3, seed=5) for name in ("alice", "bob")]
    assert jobs[0].id != jobs[1].id
    assert jobs[0].result().image.tobytes() == jobs[1].result().image.tobytes()


def test_a_caller_has_one_share_whatever_its_connections(
    server: HttpServer, callers: dict[str, Client], doors: dict[str, httpx.Client], tokens: tuple[Path, dict[str, str]]
) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server.address, token=tokens[1]["alice"])) for _ in range(3)]
        held = [client.submit("an owl", **LONG, seed=n) for n, client in enumerate(clients)]
        with pytest.raises(SafelightError) as caught:
            callers["alice"].submit("an owl", **LONG, seed=9)
        assert (caught.value.reason, caught.value.code) == ("SHARE_USED", "RESOURCE_EXHAUSTED")
        assert caught.value.retry_after
        body = {"generate": {"prompt": "an owl"}}
        refused = doors["alice"].post("/api/jobs", json=body)
        assert (refused.status_code, refused.json()["error"]["reason"]) == (429, "SHARE_USED")
        assert callers["bob"].generate("an owl", **SHORT), "others have their own"
        for job in held:
            job.cancel()


def test_a1111_shows_and_stops_only_what_is_its_own(callers: dict[str, Client], doors: dict[str, httpx.Client]) -> None:
    body = {"prompt": "an owl", "steps": 150, "sampler_name": "Euler", "batch_size": 8, "width": 128, "height": 128}
    answers: list[httpx.Response] = []
    drawing = threading.Thread(target=lambda: answers.append(doors["alice"].post("/sdapi/v1/txt2img", json=body)))
    drawing.start()
    try:
        with httpx.Client(base_url=doors["alice"].base_url, headers=doors["alice"].headers) as alice:
            while not alice.get("/sdapi/v1/progress").json()["progress"]:
                time.sleep(0.05)
            assert doors["bob"].get("/sdapi/v1/progress").json()["progress"] == 0
            doors["bob"].post("/sdapi/v1/interrupt")
            time.sleep(0.3)
            assert alice.get("/sdapi/v1/progress").json()["progress"] > 0, "it goes on"
            alice.post("/sdapi/v1/interrupt")
    finally:
        drawing.join(60)
    assert answers[0].status_code == 200


def test_jobs_stay_their_owners_when_the_server_is_started_anew(
    tokens: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    file, known = tokens
    options = (SMALL, "--precision=f32", f"--tokens={file}", f"--state-dir={tmp_path / 'jobs'}")
    with ServerProcess(*options) as first, Client(first.address, token=known["alice"]) as alice:
        done = alice.submit("an owl", **SHORT)
        done.result()
        left = alice.submit("an owl", **LONG)
        while not left.status().step:
            time.sleep(0.05)
        first.process.kill()
        first.process.wait()
    with ServerProcess(*options) as second:
        with Client(second.address, token=known["bob"]) as bob:
            assert list(bob.jobs()) == []
            for job_id in (done.id, left.id):
                with pytest.raises(NotFound):
                    bob.job(job_id).status()
        with Client(second.address, token=known["alice"]) as alice:
            assert {job.id for job in alice.jobs()} == {done.id, left.id}
            alice.job(left.id).cancel()
