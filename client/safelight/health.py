"""Asks for the health of a server, by grpc.health.v1."""

from __future__ import annotations

import enum

from google.protobuf.wrappers_pb2 import StringValue, UInt32Value

METHOD = "/grpc.health.v1.Health/Check"

# On the wire a HealthCheckRequest (field 1, a string) is a StringValue, and a HealthCheckResponse (field 1, an enum)
# a UInt32Value. grpcio-health-checking would bind the client to newer versions of gRPC and protobuf.
Check = StringValue
Checked = UInt32Value


class Health(enum.IntEnum):
    """True in a condition when it is SERVING."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return format(self.name, spec)

    def __bool__(self) -> bool:
        return self is Health.SERVING


def health_from(response: Checked) -> Health:
    """The health in a response; UNKNOWN for a state that is newer than this client."""
    return Health(response.value) if response.value in list(Health) else Health.UNKNOWN
