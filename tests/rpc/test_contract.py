"""The contract: what Generate and Refine share is declared alike, and what makes a job has all of its terms."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto
from safelight.v1 import images_pb2 as pb
from safelight.v1 import jobs_pb2
from safelight_server.contract import terms

COMMON = range(1, 27)  # the numbers of these fields


def declared(message: Any) -> dict[int, FieldDescriptorProto]:
    """A message's fields by their numbers: name, type, label, and whether each knows that it was not set."""
    descriptor = DescriptorProto()
    message.DESCRIPTOR.CopyToProto(descriptor)
    for field in descriptor.field:
        field.ClearField("oneof_index")  # an optional field is a oneof of its own, counted by message
    return {field.number: field for field in descriptor.field}


GENERATE, REFINE = declared(pb.GenerateRequest), declared(pb.RefineRequest)


@pytest.mark.parametrize("number", COMMON)
def test_a_common_field_is_declared_alike(number: int) -> None:
    assert GENERATE[number] == REFINE[number]


def test_no_other_field_is_common() -> None:
    """What Refine alone has lies above 31, so that a field of both can be added to both under one number."""
    assert GENERATE.keys() == set(COMMON)
    own = [REFINE[number] for number in REFINE.keys() - COMMON]
    assert {field.name for field in own}.isdisjoint(field.name for field in GENERATE.values())
    assert min(field.number for field in own) >= 32


@pytest.mark.parametrize("request_type", [pb.GenerateRequest, pb.RefineRequest, jobs_pb2.ForkRequest])
def test_what_makes_a_job_has_all_of_its_terms(request_type: Any) -> None:
    """They are read alike from each of these."""
    assert set(terms.FIELDS) <= set(request_type.DESCRIPTOR.fields_by_name)
