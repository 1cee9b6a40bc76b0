"""Jobs as google.longrunning.Operations, asked for by Google's own client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from safelight.v1 import images_pb2 as images
from safelight.v1 import jobs_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight.v1.jobs_pb2_grpc import JobServiceStub
from support.asking import JOB, generate
from support.servers import ServerProcess

operations_v1 = pytest.importorskip("google.api_core.operations_v1", reason="google-api-core is not installed here")
exceptions = pytest.importorskip("google.api_core.exceptions")


@pytest.fixture(scope="module")
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as found:
        yield found


@pytest.fixture(scope="module")
def client(channel: grpc.Channel) -> Any:
    return operations_v1.OperationsClient(channel)


def submit(channel: grpc.Channel, **fields: Any) -> str:
    asked = pb.SubmitRequest(generate=images.GenerateRequest(**{**JOB, **fields}))
    return f"jobs/{JobServiceStub(channel).Submit(asked).job.id}"


def wait(channel: grpc.Channel, name: str, seconds: int = 60) -> Any:
    from google.longrunning import operations_pb2

    method = channel.unary_unary(
        "/google.longrunning.Operations/WaitOperation",
        operations_pb2.WaitOperationRequest.SerializeToString,
        operations_pb2.Operation.FromString,
    )
    return method(operations_pb2.WaitOperationRequest(name=name, timeout=Duration(seconds=seconds)))


def test_an_operation_ends_with_the_answer_that_generate_gives(
    client: Any, channel: grpc.Channel, stub: ImageServiceStub
) -> None:
    name = submit(channel)
    assert wait(channel, name).done
    operation = client.get_operation(name)
    answer, job = images.GenerateResponse(), pb.Job()
    assert operation.done
    assert operation.response.Unpack(answer)
    assert operation.metadata.Unpack(job)
    assert answer.images[0].data == generate(stub)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert name in {found.name for found in client.list_operations("", "")}


def test_one_that_is_cancelled_says_so_and_one_that_is_deleted_is_gone(client: Any, channel: grpc.Channel) -> None:
    name = submit(channel, width=1024, height=1024, steps=100)
    assert not wait(channel, name, 0).done
    client.cancel_operation(name)
    operation = client.get_operation(name)
    assert operation.done
    assert operation.error.code == grpc.StatusCode.CANCELLED.value[0]
    client.delete_operation(name)
    for call in (client.get_operation, client.cancel_operation, client.delete_operation):
        with pytest.raises(exceptions.NotFound):
            call(name)


def test_a_name_that_is_none(client: Any) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="name"):
        client.get_operation("job/1")
    with pytest.raises(exceptions.InvalidArgument, match="filter"):
        list(client.list_operations("", "done=true"))
