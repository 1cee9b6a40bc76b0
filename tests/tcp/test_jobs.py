"""Jobs over TCP: taken once, watched from anywhere, finished early, forked, deleted, told after their end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from safelight.v1 import images_pb2 as images
from safelight.v1 import jobs_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight.v1.jobs_pb2_grpc import JobServiceStub
from support.asking import JOB, generate
from support.failures import failure
from support.pictures import bomb, mask, opened, picture
from support.servers import ServerProcess

SLOW: dict[str, Any] = {**JOB, "width": 512, "height": 512, "steps": 60}  # seconds


@pytest.fixture(scope="module")
def jobs(server: ServerProcess) -> Iterator[JobServiceStub]:
    with grpc.insecure_channel(server.address) as channel:
        yield JobServiceStub(channel)


def submit(jobs: JobServiceStub, **fields: Any) -> pb.Job:
    return jobs.Submit(pb.SubmitRequest(generate=images.GenerateRequest(**{**JOB, **fields}))).job


def attach(jobs: JobServiceStub, job_id: str, after: int = 0) -> list[pb.AttachResponse]:
    return list(jobs.Attach(pb.AttachRequest(job_id=job_id, after_sequence=after)))


def lasting(told: list[pb.AttachResponse]) -> list[tuple[int, str]]:
    kinds = [(response.sequence, str(response.WhichOneof("event"))) for response in told]
    return [pair for pair in kinds if pair[1] in ("started", "image", "rested", "resumed", "done")]


def get(jobs: JobServiceStub, job_id: str) -> pb.Job:
    return jobs.GetJob(pb.GetJobRequest(job_id=job_id)).job


def until(jobs: JobServiceStub, job_id: str, *states: int, patience: float = 60) -> pb.Job:
    end = time.monotonic() + patience
    while (job := get(jobs, job_id)).state not in states:
        assert time.monotonic() < end, job
        time.sleep(0.02)
    return job


def started(jobs: JobServiceStub, job_id: str, step: int = 1) -> None:
    for response in jobs.Attach(pb.AttachRequest(job_id=job_id)):
        if response.HasField("progress") and response.progress.step >= step:
            return


def test_a_job_that_is_submitted_is_drawn_without_anybody_and_told_again_and_again(
    jobs: JobServiceStub, stub: ImageServiceStub
) -> None:
    job = submit(jobs, num_images=2)
    assert job.state in (pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING)
    assert job.on_disconnect == images.ON_DISCONNECT_KEEP
    ended = until(jobs, job.id, pb.JOB_STATE_SUCCEEDED)
    assert (ended.images_done, ended.num_images, ended.generate.seed) == (2, 2, 11)
    assert ended.expire_time.seconds - ended.end_time.seconds == 24 * 3600
    told = attach(jobs, job.id)
    assert [kind for _, kind in lasting(told)] == ["started", "image", "image", "done"]
    pictures = [response.image.data for response in told if response.HasField("image")]
    assert pictures == [generate(stub, seed=11), generate(stub, seed=12)], "the pictures that a plain call gives"
    numbers = [number for number, _ in lasting(told)]
    assert lasting(attach(jobs, job.id, numbers[1])) == lasting(told)[2:]
    assert ended.last_sequence == numbers[-1]
    ahead = failure(lambda: attach(jobs, job.id, ended.last_sequence + 1))
    assert (ahead.code, ahead.reason) == (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_AHEAD")


def test_the_same_request_id_is_the_same_job_whoever_comes_at_once(
    jobs: JobServiceStub, stub: ImageServiceStub
) -> None:
    request = images.GenerateRequest(**JOB, request_id="once")
    request.ClearField("seed")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: stub.Generate(request).SerializeToString(deterministic=True), range(60)))
    assert len(set(answers)) == 1
    answer = images.GenerateResponse.FromString(answers[0])
    assert get(jobs, answer.job_id).request_id == "once"
    other = failure(lambda: stub.Generate(images.GenerateRequest(**{**JOB, "steps": 4}, request_id="once")))
    assert (other.code, other.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert other.metadata["job_id"] == answer.job_id


def test_many_may_wait_for_one_job(server: ServerProcess, jobs: JobServiceStub) -> None:
    job = submit(jobs, **SLOW)
    started(jobs, job.id)
    few = [grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(5)]
    asked = pb.AttachRequest(job_id=job.id, preview=images.PreviewOptions(every_steps=0))
    calls = [JobServiceStub(few[place // 30]).Attach(asked) for place in range(150)]
    assert {next(call).job_id for call in calls} == {job.id}
    for call in calls:
        call.cancel()
    jobs.CancelJob(pb.CancelJobRequest(job_id=job.id))
    for channel in few:
        channel.close()


def test_a_stream_of_the_same_request_id_joins(stub: ImageServiceStub) -> None:
    request = images.StreamRequest(generate=images.GenerateRequest(**JOB, request_id="joined"))
    first, second = ([(r.job_id, r.image.data) for r in stub.Stream(request) if r.HasField("image")] for _ in range(2))
    assert first == second


def test_who_leaves_a_job_that_is_kept_finds_it_again(jobs: JobServiceStub, stub: ImageServiceStub) -> None:
    request = images.GenerateRequest(**{**SLOW, "steps": 30}, on_disconnect=images.ON_DISCONNECT_KEEP)
    call = stub.Stream(images.StreamRequest(generate=request))
    job_id = next(call).job_id
    call.cancel()
    assert until(jobs, job_id, pb.JOB_STATE_SUCCEEDED).images_done == 1


def test_a_job_with_a_grace_ends_when_nobody_comes_back(jobs: JobServiceStub, stub: ImageServiceStub) -> None:
    request = images.GenerateRequest(
        **SLOW, on_disconnect=images.ON_DISCONNECT_GRACE, grace=Duration(nanos=300_000_000)
    )
    call = stub.Stream(images.StreamRequest(generate=request))
    job_id = next(call).job_id
    call.cancel()
    again = jobs.Attach(pb.AttachRequest(job_id=job_id))
    next(again)
    time.sleep(0.6)
    assert get(jobs, job_id).state in (pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING), "somebody came back"
    again.cancel()
    assert until(jobs, job_id, pb.JOB_STATE_CANCELLED)


def test_a_plain_call_that_leaves_takes_its_job_along(jobs: JobServiceStub, stub: ImageServiceStub) -> None:
    call = stub.Stream(images.StreamRequest(generate=images.GenerateRequest(**SLOW)))
    job_id = next(call).job_id
    assert get(jobs, job_id).on_disconnect == images.ON_DISCONNECT_CANCEL
    call.cancel()
    end = time.monotonic() + 30
    while True:
        try:
            get(jobs, job_id)
        except grpc.RpcError:
            break
        assert time.monotonic() < end
    assert failure(lambda: get(jobs, job_id)).reason == "JOB_NOT_FOUND"


def test_cancelling_ends_those_who_watch_and_is_said_once_and_for_all(jobs: JobServiceStub) -> None:
    job = submit(jobs, **SLOW)
    started(jobs, job.id)
    watching: list[BaseException] = []

    def watch() -> None:
        try:
            attach(jobs, job.id)
        except grpc.RpcError as error:
            watching.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    time.sleep(0.2)
    assert jobs.CancelJob(pb.CancelJobRequest(job_id=job.id)).job.state == pb.JOB_STATE_CANCELLED
    thread.join(30)
    assert failure(lambda: attach(jobs, job.id)).reason == "JOB_CANCELLED"
    assert [error.code() for error in watching] == [grpc.StatusCode.CANCELLED]  # type: ignore[attr-defined]
    assert jobs.CancelJob(pb.CancelJobRequest(job_id=job.id)).job.state == pb.JOB_STATE_CANCELLED
    done = submit(jobs)
    until(jobs, done.id, pb.JOB_STATE_SUCCEEDED)
    assert jobs.CancelJob(pb.CancelJobRequest(job_id=done.id)).job.state == pb.JOB_STATE_SUCCEEDED


def test_finishing_gives_the_picture_of_now(jobs: JobServiceStub) -> None:
    job = submit(jobs, **SLOW, num_images=2)
    started(jobs, job.id, 3)
    assert jobs.FinishJob(pb.FinishJobRequest(job_id=job.id)).job.id == job.id
    ended = until(jobs, job.id, pb.JOB_STATE_SUCCEEDED)
    assert ended.finished_early
    told = attach(jobs, job.id)
    (image,) = (response.image for response in told if response.HasField("image"))
    assert 3 <= image.finished_early_at_step < 60
    assert image.receipt.finished_early_at_step == image.finished_early_at_step


def test_before_the_first_step_there_is_nothing_to_finish(jobs: JobServiceStub) -> None:
    job = submit(jobs, **{**SLOW, "width": 1024, "height": 1024})
    found = failure(lambda: jobs.FinishJob(pb.FinishJobRequest(job_id=job.id)))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_STARTED")
    jobs.DeleteJob(pb.DeleteJobRequest(job_id=job.id))


def test_what_is_deleted_is_gone(jobs: JobServiceStub) -> None:
    job = submit(jobs)
    until(jobs, job.id, pb.JOB_STATE_SUCCEEDED)
    jobs.DeleteJob(pb.DeleteJobRequest(job_id=job.id))
    for call in (
        lambda: get(jobs, job.id),
        lambda: attach(jobs, job.id),
        lambda: jobs.DeleteJob(pb.DeleteJobRequest(job_id=job.id)),
    ):
        assert failure(call).reason == "JOB_NOT_FOUND"


def test_pages(jobs: JobServiceStub) -> None:
    made = [submit(jobs, seed=seed).id for seed in range(5)]
    for job_id in made:
        until(jobs, job_id, pb.JOB_STATE_SUCCEEDED)
    found: list[str] = []
    token = ""
    while True:
        asked = pb.ListJobsRequest(page_size=2, page_token=token, state=pb.JOB_STATE_SUCCEEDED, model="base")
        page = jobs.ListJobs(asked)
        assert len(page.jobs) <= 2
        found += [job.id for job in page.jobs]
        token = page.next_page_token
        if not token:
            break
    assert len(found) == len(set(found))
    assert found[:5] == made[::-1], "the newest first"
    bad = failure(lambda: jobs.ListJobs(pb.ListJobsRequest(page_token="next", state=99)))  # type: ignore[arg-type]
    assert set(bad.violations) == {"page_token", "state"}


def whole(jobs: JobServiceStub, job_id: str) -> list[bytes]:
    return [response.image.data for response in attach(jobs, job_id) if response.HasField("image")]


def pixels(file: bytes) -> bytes:
    return opened(file).tobytes()


@pytest.mark.parametrize("scheduler", ["euler", "euler_ancestral", "dpmpp_2m_karras", "ddim", "lcm"])
def test_a_fork_that_changes_nothing_gives_the_same_bits(
    scheduler: str, jobs: JobServiceStub, stub: ImageServiceStub
) -> None:
    resting = submit(jobs, scheduler=scheduler, num_images=2, stop_at_step=2)
    rested = until(jobs, resting.id, pb.JOB_STATE_RESTING)
    told = [response.rested for response in attach(jobs, resting.id) if response.HasField("rested")]
    assert [(rest.image_index, rest.step, rest.steps, rest.seed) for rest in told] == [(0, 2, 5, 11), (1, 2, 5, 12)]
    assert {kept.image_index: 2 in kept.steps for kept in rested.checkpoints} == {0: True, 1: True}
    forked = jobs.Fork(pb.ForkRequest(job_id=resting.id, image_index=1)).job
    assert forked.forked_from == resting.id
    (picture_of,) = whole(jobs, forked.id)
    assert pixels(picture_of) == pixels(generate(stub, scheduler=scheduler, seed=12))


def test_a_fork_with_a_mask_gives_the_same_bits(jobs: JobServiceStub, stub: ImageServiceStub) -> None:
    fields: dict[str, Any] = {**JOB, "image": picture(), "mask": mask(), "strength": 1.0}
    alone = stub.Refine(images.RefineRequest(**fields)).images[0].data
    job = jobs.Submit(pb.SubmitRequest(refine=images.RefineRequest(**fields, stop_at_step=3))).job
    until(jobs, job.id, pb.JOB_STATE_RESTING)
    (forked,) = whole(jobs, jobs.Fork(pb.ForkRequest(job_id=job.id)).job.id)
    assert pixels(forked) == pixels(alone)


def test_forks_with_changes(jobs: JobServiceStub) -> None:
    job = submit(jobs, stop_at_step=2)
    until(jobs, job.id, pb.JOB_STATE_RESTING)
    seen = {pixels(whole(jobs, jobs.Fork(pb.ForkRequest(job_id=job.id)).job.id)[0])}
    for changes in (
        pb.ForkChanges(prompt="a blue plum"),
        pb.ForkChanges(guidance_scale=9),
        pb.ForkChanges(scheduler="ddim"),
        pb.ForkChanges(scheduler="euler_ancestral"),
    ):
        (drawn,) = whole(jobs, jobs.Fork(pb.ForkRequest(job_id=job.id, changes=changes)).job.id)
        seen.add(pixels(drawn))
    assert len(seen) == 5
    gone = failure(lambda: jobs.Fork(pb.ForkRequest(job_id=job.id, step=4)))
    assert (gone.code, gone.reason, gone.metadata["nearest_step"]) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "CHECKPOINT_GONE",
        "2",
    )
    bad = failure(lambda: jobs.Fork(pb.ForkRequest(job_id=job.id, changes=pb.ForkChanges(scheduler="heunish"))))
    assert list(bad.violations) == ["changes.scheduler"]


PARTS = {"text_encoder", "text_encoder_2", "unet", "vae_decoder", "vae_encoder", "vae_tiny_decoder"}


def test_a_picture_is_verified_by_its_own_receipt(jobs: JobServiceStub, stub: ImageServiceStub) -> None:
    file = generate(stub)
    found = jobs.Verify(pb.VerifyRequest(file=file))
    assert (found.same, found.max_difference, list(found.differs)) == (True, 0, [])
    receipt = found.receipt
    assert receipt.generate.seed == 11
    (told,) = receipt.models
    assert (told.name, set(told.precisions)) == ("base", PARTS)
    (listed,) = (model for model in stub.ListModels(images.ListModelsRequest()).models if model.name == "base")
    assert dict(listed.precisions) == dict(told.precisions)
    assert told.precisions["unet"] == told.precision == listed.precision
    receipt.generate.seed = 12
    other = jobs.Verify(pb.VerifyRequest(file=file, receipt=receipt))
    assert not other.same
    assert other.max_difference
    fields: dict[str, Any] = {**JOB, "image": picture(), "strength": 0.5}
    redrawn = stub.Refine(images.RefineRequest(**fields)).images[0].data
    assert jobs.Verify(pb.VerifyRequest(file=redrawn, image=picture())).same
    assert list(failure(lambda: jobs.Verify(pb.VerifyRequest(file=redrawn))).violations) == ["image"]
    assert list(failure(lambda: jobs.Verify(pb.VerifyRequest(file=b"no picture"))).violations) == ["file"]


@pytest.mark.parametrize("edge", [4097, 16385])
def test_a_file_that_is_dear_to_unpack_is_no_more_verified_than_redrawn(edge: int, jobs: JobServiceStub) -> None:
    found = failure(lambda: jobs.Verify(pb.VerifyRequest(file=bomb(edge))))
    assert list(found.violations) == ["file"]
    assert "must have at most" in found.violations["file"]
    assert "edges" in found.violations["file"] or "pixels" in found.violations["file"]


def test_an_estimate_draws_nothing(jobs: JobServiceStub, stub: ImageServiceStub) -> None:
    generate(stub)
    found = jobs.Estimate(pb.EstimateRequest(generate=images.GenerateRequest(**JOB)))
    assert found.is_known
    low, likely, high = (getattr(found.work, name).ToTimedelta().total_seconds() for name in ("low", "likely", "high"))
    assert 0 < low <= likely <= high < 60
    assert found.peak_bytes > 10**8
    assert found.fits
    more = jobs.Estimate(pb.EstimateRequest(generate=images.GenerateRequest(**{**JOB, "steps": 50})))
    assert more.work.likely.ToTimedelta() > 3 * found.work.likely.ToTimedelta()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("request_id", "x" * 37),
        ("request_id", "zwei Wörter"),
        ("on_disconnect", 9),
        ("grace", Duration(seconds=-1)),
        ("retain", Duration(seconds=10**9)),
        ("stop_at_step", 0),
        ("stop_at_step", 5),
    ],
)
def test_bad_terms_are_told_with_everything_else(field: str, value: Any, stub: ImageServiceStub) -> None:
    request = images.GenerateRequest(**{**JOB, "width": 7, field: value})
    assert set(failure(lambda: stub.Generate(request)).violations) >= {field, "width"} - (
        {"stop_at_step"} if field == "stop_at_step" else set()
    )
