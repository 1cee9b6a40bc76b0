"""The job store under what happens to servers: killed, ended, started twice, full, damaged; nothing lost or mixed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from safelight.v1 import images_pb2 as images
from safelight.v1 import jobs_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight.v1.jobs_pb2_grpc import JobServiceStub
from support.failures import failure
from support.pictures import mask, opened, picture
from support.servers import ServerProcess, models

JOB: dict[str, Any] = {"model": "base", "prompt": "a red apple", "steps": 40, "seed": 11, "width": 128, "height": 128}
TWO: dict[str, Any] = {"steps": 60, "num_images": 2}
KINDS: dict[str, dict[str, Any]] = {
    "base": {"scheduler": "euler_ancestral"},
    "multistep": {"scheduler": "dpmpp_2m_karras", "num_images": 2, "steps": 20},
    "deep cache": {"acceleration": images.Acceleration(deep_cache_interval=3)},
    "handoff": {"refiner": images.RefinerStage(model="refiner", handoff=0.6)},
    "mask": {"image": picture(), "mask": mask(), "strength": 0.9},
}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Restarted:
    """A server that can be ended and started again on the same address and the same store."""

    def __init__(self, folder: Path, models: list[str]) -> None:
        self.folder, self._models, self._port = folder, models, free_port()

    @contextmanager
    def run(self, *options: str) -> Iterator[tuple[ServerProcess, JobServiceStub, ImageServiceStub]]:
        arguments = ["--precision=f32", f"--listen=127.0.0.1:{self._port}", f"--state-dir={self.folder}"]
        own = [("grpc.use_local_subchannel_pool", 1)]  # no backoff of the server before
        with (
            ServerProcess(*self._models, *arguments, *options) as server,
            grpc.insecure_channel(server.address, own) as channel,
        ):
            yield server, JobServiceStub(channel), ImageServiceStub(channel)


@pytest.fixture
def restarted(tmp_path: Path, folders: dict[str, str]) -> Restarted:
    return Restarted(tmp_path / "state", models(folders, "base"))


@pytest.fixture(scope="module")
def left(folders: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The store of a server that was ended at a job, and the job's id: the grace is too short for its two images."""
    restarted = Restarted(tmp_path_factory.mktemp("left") / "state", models(folders, "base"))
    with restarted.run("--grace=0.2") as (server, jobs, _):
        job_id = jobs.Submit(request(**TWO)).job.id
        while step(jobs, job_id) < 3:
            time.sleep(0.01)
        assert server.stop() == 0
    return restarted.folder, job_id


@pytest.fixture
def ended(left: tuple[Path, str], restarted: Restarted) -> str:
    """The id of the job in the store of `restarted`, which is a copy of `left`."""
    shutil.copytree(left[0], restarted.folder)
    return left[1]


@pytest.fixture
def restarted_with_refiner(tmp_path: Path, folders: dict[str, str]) -> Restarted:
    return Restarted(tmp_path / "state", models(folders, "base", "refiner"))


def request(**fields: Any) -> pb.SubmitRequest:
    asked = {**JOB, **fields}
    if "image" in asked:
        return pb.SubmitRequest(refine=images.RefineRequest(**asked))
    return pb.SubmitRequest(generate=images.GenerateRequest(**asked))


def attach(jobs: JobServiceStub, job_id: str, after: int = 0) -> list[pb.AttachResponse]:
    return list(jobs.Attach(pb.AttachRequest(job_id=job_id, after_sequence=after)))


def pixels(told: list[pb.AttachResponse]) -> list[bytes]:
    return [opened(response.image.data).tobytes() for response in told if response.HasField("image")]


def lasting(told: list[pb.AttachResponse]) -> list[tuple[int, str]]:
    kinds = [(response.sequence, str(response.WhichOneof("event"))) for response in told]
    return [pair for pair in kinds if pair[1] in ("started", "image", "rested", "resumed", "done")]


def step(jobs: JobServiceStub, job_id: str) -> int:
    return jobs.GetJob(pb.GetJobRequest(job_id=job_id)).job.step


def kill(server: ServerProcess) -> None:
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()


def test_jobs_of_a_killed_server_go_on_to_the_same_bits(restarted_with_refiner: Restarted) -> None:
    chance, restarted = random.Random(3), restarted_with_refiner
    with restarted.run() as (server, jobs, _):
        alone = {kind: pixels(attach(jobs, jobs.Submit(request(**fields)).job.id)) for kind, fields in KINDS.items()}
        ids = {kind: jobs.Submit(request(**fields)).job.id for kind, fields in KINDS.items()}
        watching = jobs.Attach(pb.AttachRequest(job_id=ids["multistep"]))
        told = [next(watching).sequence for _ in range(4)]
        time.sleep(chance.uniform(0.5, 1.5))
        kill(server)
    for _ in range(2):
        with restarted.run() as (server, _, _):
            time.sleep(chance.uniform(0.1, 0.6))
            kill(server)
    with restarted.run() as (server, jobs, _):
        for kind, job_id in ids.items():
            seen = attach(jobs, job_id)
            assert pixels(seen) == alone[kind], kind
            names = [name for _, name in lasting(seen)]
            assert [name for name in names if name != "resumed"] == [
                "started",
                *["image"] * len(alone[kind]),
                "done",
            ], kind
            numbers = [number for number, _ in lasting(seen)]
            assert numbers == sorted(set(numbers)), kind
        later = [response.sequence for response in attach(jobs, ids["multistep"], told[-1])]
        assert min(later, default=10**6) > told[-1]
        warnings = [
            warning for job_id in ids.values() for warning in jobs.GetJob(pb.GetJobRequest(job_id=job_id)).job.warnings
        ]
        assert not any("begins again" in warning for warning in warnings)


def test_a_drain_writes_down_where_its_jobs_are(ended: str, restarted: Restarted) -> None:
    with restarted.run() as (_, jobs, _):
        resumed = [response.resumed for response in attach(jobs, ended) if response.HasField("resumed")]
        assert len(resumed) == 1
        assert resumed[0].step or resumed[0].image_index
        assert not resumed[0].warning


def test_what_has_changed_is_never_mixed(ended: str, restarted: Restarted) -> None:
    with restarted.run("--threads=1") as (_, jobs, _):
        told = attach(jobs, ended)
        (resumed,) = (response.resumed for response in told if response.HasField("resumed"))
        assert resumed.step == 0
        assert "not the same" in resumed.warning
        assert pixels(told) == pixels(attach(jobs, jobs.Submit(request(**TWO)).job.id))


def test_a_damaged_checkpoint_is_not_taken_up(ended: str, restarted: Restarted) -> None:
    with sqlite3.connect(restarted.folder / "jobs.sqlite") as database:
        (count,) = database.execute("SELECT COUNT(*) FROM checkpoints").fetchone()
        assert count
        database.execute(
            "UPDATE checkpoints SET state = CAST(substr(state, 1, 5000) || x'00' || substr(state, 5002) AS BLOB)"
        )
    database.close()
    with restarted.run() as (_, jobs, _):
        (resumed,) = (response.resumed for response in attach(jobs, ended) if response.HasField("resumed"))
        assert "damaged" in resumed.warning


def test_a_call_that_is_cancelled_with_its_caller_waits_for_it_after_a_crash(restarted: Restarted) -> None:
    asked = images.GenerateRequest(**{**JOB, "steps": 100}, request_id="mine")
    with restarted.run() as (server, jobs, stub):
        call = stub.Stream(images.StreamRequest(generate=asked))
        job_id = next(call).job_id
        while not step(jobs, job_id):
            time.sleep(0.01)
        kill(server)
    with restarted.run() as (server, jobs, stub):
        answer = stub.Generate(asked)
        assert answer.job_id == job_id
        assert opened(answer.images[0].data).tobytes() in pixels(attach(jobs, jobs.Submit(request(steps=100)).job.id))


def test_only_its_owner_can_read_it_and_what_is_deleted_is_not_in_it(restarted: Restarted) -> None:
    secret = "a very private apple"
    path = restarted.folder / "jobs.sqlite"
    with restarted.run() as (server, jobs, _):
        kept = jobs.Submit(request(prompt=secret)).job.id
        attach(jobs, kept)
        assert stat.S_IMODE(restarted.folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in restarted.folder.iterdir()} == {0o600}
        assert any(secret.encode() in file.read_bytes() for file in restarted.folder.iterdir())
        jobs.DeleteJob(pb.DeleteJobRequest(job_id=kept))
        assert not any(secret.encode() in file.read_bytes() for file in restarted.folder.iterdir())
        gone = jobs.Submit(request(prompt=secret, retain=Duration())).job.id
        attach(jobs, gone)
        server.stop()
        assert secret not in server.log()
    assert secret.encode() not in path.read_bytes()


def test_two_servers_cannot_have_one_store(restarted: Restarted, folders: dict[str, str]) -> None:
    with restarted.run():
        command = [sys.executable, "-m", "safelight_server", "serve", "--listen=127.0.0.1:0"]
        command += [f"--state-dir={restarted.folder}", f"--model=base={folders['base']}"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert "another server stores its jobs here" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_damaged_store_is_put_aside(restarted: Restarted) -> None:
    restarted.folder.mkdir(mode=0o700)
    path = restarted.folder / "jobs.sqlite"
    path.write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    with restarted.run() as (server, jobs, _):
        assert "damaged" in server.log()
        assert attach(jobs, jobs.Submit(request(steps=4)).job.id)
    assert (restarted.folder / "jobs.damaged").exists()


def test_a_full_store_takes_no_jobs_that_it_must_keep_and_loses_no_others(restarted: Restarted) -> None:
    upload = picture() + bytes(12 * 2**20)  # which is stored with the job
    big: dict[str, Any] = {"image": upload, "width": 128, "height": 128, "steps": 100, "strength": 1.0}
    with restarted.run("--store-limit=16") as (_, jobs, stub):
        first = jobs.Submit(request(**big)).job.id
        found = failure(lambda: jobs.Submit(request(**{**big, "seed": 12})))
        assert (found.code, found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL")
        assert found.retry_delay
        asked = images.RefineRequest(**{**JOB, **big, "steps": 2, "seed": 13}, request_id="not-stored")
        answer = stub.Refine(asked)
        assert answer.images
        assert any("lost if the server stops" in warning for warning in answer.warnings)
        jobs.CancelJob(pb.CancelJobRequest(job_id=first))
        assert jobs.Submit(request(**{**big, "seed": 14})).job.id, "what has ended makes room"
