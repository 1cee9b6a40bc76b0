"""The client's jobs over TCP: links that are cut, a server that is killed, users that leave; every call of a job."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import safelight
from safelight import Client
from support.asking import JOB
from support.clients import Connect
from support.cut_link import cut_link
from support.pictures import picture
from support.servers import ServerProcess, models

ASK: dict[str, Any] = JOB
SLOW: dict[str, Any] = {**ASK, "width": 512, "height": 512, "steps": 60}  # seconds
LASTING = (safelight.Started, safelight.ImageDone, safelight.Rested, safelight.Resumed, safelight.Done)


@pytest.fixture
def client(connect: Connect, server: ServerProcess) -> Client:
    return connect(server.address)


def lasting(events: list[safelight.Event]) -> list[str]:
    return [type(event).__name__ for event in events if isinstance(event, LASTING)]


def until(look: Callable[[], bool], patience: float = 30) -> None:
    end = time.monotonic() + patience
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_over(client: Client, job_id: str) -> bool:
    try:
        return client.job(job_id).status().state == "cancelled"
    except safelight.NotFound:
        return True


# Links that break


@pytest.mark.parametrize("lot", range(4))
def test_a_link_that_is_cut_anywhere_is_not_seen(connect: Connect, server: ServerProcess, lot: int) -> None:
    cuts = [random.Random(lot).randrange(60, 12_000) for _ in range(4)]
    asked = {**ASK, "num_images": 2, "steps": 12}
    with connect(server.address).stream(**asked) as undisturbed:
        wanted = undisturbed.final()
    with cut_link(server.address, cuts) as link, connect(link.address).stream(**asked) as stream:
        events = list(stream)
        result = stream.final()
    assert link.cut >= 1, cuts
    assert lasting(events) == ["Started", "ImageDone", "ImageDone", "Done"]
    assert result.files == wanted.files
    for kind in (safelight.Progress, safelight.Preview):
        numbers = [event.sequence for event in events if isinstance(event, kind)]
        assert numbers == sorted(set(numbers))


def test_a_call_that_is_cut_gets_the_same_answer(connect: Connect, server: ServerProcess) -> None:
    wanted = connect(server.address).generate(**ASK)
    with cut_link(server.address, [200, 400]) as link:
        result = connect(link.address).generate(**ASK)
    assert link.cut == 2
    assert result.files == wanted.files


def test_without_resume_a_cut_ends_the_call(connect: Connect, server: ServerProcess) -> None:
    with cut_link(server.address, [600]) as link:
        stream = connect(link.address).stream(**SLOW, resume=False)
        with pytest.raises(safelight.Unavailable) as caught:
            stream.final()
    assert caught.value.reason == "UNREACHABLE"
    assert caught.value.job_id


def test_a_job_that_is_gone_is_a_lost_link(connect: Connect, server: ServerProcess) -> None:
    with cut_link(server.address) as link, connect(link.address).stream(**SLOW) as stream:
        while not isinstance(next(stream), safelight.Started):
            pass
        link.cut_now()
        connect(server.address).job(stream.job_id).delete()
        with pytest.raises(safelight.SafelightError) as caught:
            stream.final()
    assert type(caught.value) in (safelight.Unavailable, safelight.Cancelled)


def test_a_server_that_is_killed_and_started_anew_is_not_seen(folders: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    asked = {**ASK, "width": 128, "height": 128, "steps": 60}
    options = [f"--listen=127.0.0.1:{port}", "--precision=f32", f"--state-dir={tmp_path}", *models(folders, "base")]
    with ServerProcess(*options) as first, Client(first.address) as client, ThreadPoolExecutor(4) as pool:
        wanted = client.generate(**asked, num_images=4)
        ways = (_generated, _streamed, _generated_async, _streamed_async)
        drawn = [pool.submit(way, first.address, {**asked, "seed": 11 + index}) for index, way in enumerate(ways)]
        until(lambda: any(job.step > 5 for job in client.jobs("running") if job.num_images == 1))
        first.process.kill()
        with ServerProcess(*options):
            ended = [one.result(60) for one in drawn]
    for alone, (result, seen) in zip(wanted.pictures, ended, strict=True):
        assert result.image.tobytes() == alone.image.tobytes()
        assert [kind for kind in lasting(seen) if kind != "Resumed"] in ([], ["Started", "ImageDone", "Done"])
    assert any("Resumed" in lasting(seen) for _, seen in ended)


Drawn = tuple[safelight.Result, list[safelight.Event]]


def _generated(address: str, asked: dict[str, Any]) -> Drawn:
    with Client(address) as client:
        return client.generate(**asked), []


def _streamed(address: str, asked: dict[str, Any]) -> Drawn:
    with Client(address) as client, client.stream(**asked) as stream:
        seen = list(stream)
        return stream.final(), seen


def _generated_async(address: str, asked: dict[str, Any]) -> Drawn:
    async def draw() -> Drawn:
        async with safelight.AsyncClient(address) as client:
            return await client.generate(**asked), []

    return asyncio.run(draw())


def _streamed_async(address: str, asked: dict[str, Any]) -> Drawn:
    async def draw() -> Drawn:
        async with safelight.AsyncClient(address) as client, client.stream(**asked) as stream:
            seen = [event async for event in stream]
            return await stream.final(), seen

    return asyncio.run(draw())


# Users that leave


def test_leaving_a_stream_stops_its_job_at_once(client: Client) -> None:
    with client.stream(**SLOW) as stream:
        next(stream)
    until(lambda: is_over(client, stream.job_id), 2)


def test_a_job_whose_callers_time_is_over_stops_at_once(client: Client) -> None:
    for call in ("generate", "stream"):
        asked: dict[str, Any] = {**SLOW, "request_id": f"hurried-{call}-{type(client).__name__}", "timeout": 0.7}
        with pytest.raises(safelight.TimedOut):
            client.generate(**asked) if call == "generate" else client.stream(**asked).final()
    with Client(client.address) as beside:
        until(lambda: not [job for job in beside.jobs() if "hurried" in job.request_id and not job.is_over], 2)


def test_closing_the_client_stops_its_jobs(server: ServerProcess) -> None:
    client = Client(server.address)
    stream = client.stream(**SLOW)
    job_id = next(stream).job_id
    client.close()
    with Client(server.address) as beside:
        until(lambda: is_over(beside, job_id), 2)


def test_a_job_that_is_kept_goes_on_without_its_user(client: Client) -> None:
    with client.stream(**{**ASK, "steps": 60}, on_disconnect="keep") as stream:
        next(stream)
    assert client.job(stream.job_id).wait(60).state == "succeeded"


# Jobs


def test_a_job_from_its_beginning_to_its_end(client: Client) -> None:
    job = client.submit(**ASK, num_images=2)
    status = job.wait(60)
    assert (status.state, status.images_done, status.is_over) == ("succeeded", 2, True)
    assert (status.arguments["seed"], status.on_disconnect, len(status.request_id)) == (11, "keep", 36)
    assert job.result().files == client.generate(**{**ASK, "num_images": 2}).files
    with job.events() as events:
        told = list(events)
    assert lasting(told) == ["Started", "ImageDone", "ImageDone", "Done"]
    receipt = told[1].receipt if isinstance(told[1], safelight.ImageDone) else {}
    assert receipt is not None
    assert receipt["models"][0]["name"] == "base"
    with job.events(told[1].sequence) as events:
        assert lasting(list(events)) == ["ImageDone", "Done"]
    job.delete()
    with pytest.raises(safelight.NotFound) as caught:
        job.status()
    assert caught.value.reason == "JOB_NOT_FOUND"


def test_a_job_is_forked_and_finished_early(client: Client) -> None:
    resting = client.submit(**ASK, stop_at_step=2)
    status = resting.wait(60)
    assert (status.state, status.checkpoints[0][-1]) == ("resting", 2)
    with resting.events() as events:
        rested = [event for event in events if isinstance(event, safelight.Rested)]
    assert [(rest.step, rest.seed, rest.image.format) for rest in rested] == [(2, 11, "JPEG")]
    same, other = resting.fork(), resting.fork(2, prompt="a blue plum", guidance_scale=9)
    whole = client.generate(**ASK).image.tobytes()
    assert same.result().image.tobytes() == whole
    assert other.result().image.tobytes() != whole
    assert other.status().forked_from == resting.id
    with pytest.raises(safelight.FailedPrecondition) as caught:
        resting.fork(4)
    assert (caught.value.reason, caught.value.metadata["nearest_step"]) == ("CHECKPOINT_GONE", "2")
    slow = client.submit(**{**SLOW, "width": 256, "height": 256})
    until(lambda: slow.status().step > 2)
    slow.finish()
    (early,) = slow.result().pictures
    assert early.finished_early_at_step
    assert 2 < early.finished_early_at_step < 60
    assert slow.status().finished_early


def test_a_job_that_is_cancelled_says_so(client: Client) -> None:
    job = client.submit(**SLOW)
    assert job.cancel().state == "cancelled"
    assert job.wait().state == "cancelled"
    with pytest.raises(safelight.Cancelled) as caught:
        job.result()
    assert caught.value.reason == "JOB_CANCELLED"


def test_waiting_for_a_job_may_end_before_it_does(client: Client) -> None:
    job = client.submit(**SLOW)
    with pytest.raises(safelight.TimedOut):
        job.wait(0.3)
    assert not job.cancel().finished_early


def test_an_id_is_one_job(client: Client) -> None:
    request_id = f"once-{type(client).__name__}"
    first, second = (client.submit(**ASK, request_id=request_id) for _ in range(2))
    assert first.id == second.id
    with pytest.raises(safelight.Conflict) as caught:
        client.generate(**{**ASK, "steps": 4}, request_id=request_id)
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_an_estimate_and_a_verdict(client: Client) -> None:
    drawn = client.generate(**ASK)
    found = client.estimate(**ASK)
    assert (found.fits, found.is_known) == (True, True)
    assert 0 < found.work.low <= found.work.likely <= found.work.high < 60
    verdict = client.verify(drawn.pictures[0])
    assert verdict
    assert (verdict.max_difference, verdict.differs, verdict.receipt["generate"]["seed"]) == (0, (), 11)
    redrawn = client.refine(picture(), "a plum", model="base", strength=0.5, steps=5, seed=3)
    assert client.verify(redrawn.files[0], image=picture())
