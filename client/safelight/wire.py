"""Reads protobuf messages into plain dataclasses whose fields carry the same names."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Record = TypeVar("Record", bound=DataclassInstance)
else:
    Record = TypeVar("Record")


def read(record: type[Record], message: Message, /, **known: Any) -> Record:
    """A `record` with the fields of `message` of the same names; the fields in `known` are taken from there."""
    names = [field.name for field in dataclasses.fields(record) if field.name not in known]
    return record(**known, **{name: plain(getattr(message, name)) for name in names})


def as_json(message: Message) -> dict[str, Any]:
    """A message as ProtoJSON has it, with the names of the contract."""
    return MessageToDict(message, preserving_proto_field_name=True)


def seconds(duration: Duration) -> float:
    """The length of a google.protobuf.Duration."""
    return duration.seconds + duration.nanos / 1e9


def duration(length: float) -> Duration:
    """The google.protobuf.Duration of so many seconds."""
    message = Duration()
    message.FromNanoseconds(round(length * 1e9))
    return message


def plain(value: Any) -> Any:
    """A field's value as Python has it."""
    if isinstance(value, Duration):
        return seconds(value)
    if isinstance(value, float):
        return float(f"{value:.7g}")  # the wire has 32 bits: 7.3 came as 7.300000190734863
    if isinstance(value, (bool, int, str, bytes)):
        return value
    return tuple(value)
