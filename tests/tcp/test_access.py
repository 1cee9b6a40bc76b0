"""Who gets in: every method of both doors, with every kind of credentials, over every kind of transport.

The tables below make the matrix, cell by cell: what is listed by the server itself (its handlers and routes) is in it,
so that a new method is too.
"""

from __future__ import annotations

import base64
import itertools
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.longrunning import operations_proto_pb2
from safelight.v1 import images_pb2, jobs_pb2, models_pb2
from safelight_server.callers import Right
from safelight_server.desk import Desk
from safelight_server.http.door import all_routes
from safelight_server.http.metrics import Metrics
from safelight_server.rpc.guard import BY_PATH
from support.access import Certificates, certificates, channel, new_tokens
from support.http_server import SMALL, HttpServer
from support.servers import ServerProcess

HEALTH = {f"/grpc.health.v1.Health/{name}" for name in ("Check", "List", "Watch")}
REFLECTION = {f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1", "v1alpha")}
UNKNOWN = {"/safelight.v1.ImageService/Paint", "/nobody.Knows/This", "/grpc.health.v1.Healthy/Check", "/"}
SERVICES = (
    images_pb2.DESCRIPTOR.services_by_name["ImageService"],
    jobs_pb2.DESCRIPTOR.services_by_name["JobService"],
    models_pb2.DESCRIPTOR.services_by_name["ModelService"],
    operations_proto_pb2.DESCRIPTOR.services_by_name["Operations"],
)
METHODS = {f"/{service.full_name}/{method.name}" for service in SERVICES for method in service.methods}
PROBES = ("/healthz", "/readyz")
RIGHTS = {"reader": Right.READ, "drawer": Right.DRAW, "admin": Right.ADMIN}
INCLUDED = {Right.READ: {"reader", "drawer", "admin"}, Right.DRAW: {"drawer", "admin"}, Right.ADMIN: {"admin"}}
REFUSALS = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}

# What is sent as `authorization`, by the tokens that the server knows.
CREDENTIALS: dict[str, Callable[[dict[str, str]], list[str]]] = {
    "nothing": lambda tokens: [],
    "empty": lambda tokens: [""],
    "wrong": lambda tokens: ["Bearer sl_wrong"],
    "another scheme": lambda tokens: [f"Token {tokens['admin']}"],
    "without a scheme": lambda tokens: [tokens["admin"]],
    "cut short": lambda tokens: [f"Bearer {tokens['admin'][:-1]}"],
    "too long": lambda tokens: [f"Bearer {tokens['admin']}{'x' * 600}"],
    "a revoked one": lambda tokens: [f"Bearer {tokens['gone']}"],
    "two": lambda tokens: ["Bearer sl_wrong", f"Bearer {tokens['admin']}"],
    "reader": lambda tokens: [f"Bearer {tokens['reader']}"],
    "drawer": lambda tokens: [f"bearer {tokens['drawer']}"],
    "admin": lambda tokens: [f"Basic {base64.b64encode(b'x:' + tokens['admin'].encode()).decode()}"],
}


@dataclass
class Place:
    """A server, and how it is spoken to."""

    server: HttpServer
    tokens: dict[str, str]
    files: Certificates | None = None
    shows: Certificates | None = None

    def channel(self) -> grpc.Channel:
        return channel(self.server, self.files, shows=self.shows)

    def http(self) -> httpx.Client:
        verify: Any = True
        if self.files is not None:
            verify = ssl.create_default_context(cafile=self.files.ca)
            if self.shows is not None:
                verify.load_cert_chain(self.shows.client, self.shows.client_key)
        return self.server.client(verify=verify)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("access")


@pytest.fixture(scope="module")
def places(folder: Path) -> Iterator[dict[str, Place]]:
    """Servers with plain text on loopback, TLS, and TLS for those alone who show a certificate."""
    files, stack = certificates(folder / "certificates"), ExitStack()
    secure = (f"--tls-cert={files.cert}", f"--tls-key={files.key}")
    transports: dict[str, tuple[tuple[str, ...], Certificates | None, Certificates | None]] = {
        "plain": ((), None, None),
        "tls": (secure, files, None),
        "mtls": ((*secure, f"--tls-client-ca={files.ca}"), files, files),
    }
    found = {}
    with stack:
        for name, (options, ours, shown) in transports.items():
            file = folder / f"{name}.tokens"
            gone = new_tokens(file, gone=Right.ADMIN)
            server = stack.enter_context(HttpServer(f"--tokens={file}", *options))
            found[name] = Place(server, new_tokens(file, **RIGHTS) | gone, ours, shown)
        yield found


def outcome(channel: grpc.Channel, method: str, sent: list[str]) -> grpc.StatusCode:
    """How a call with an empty message ends; OK as soon as there is an answer, for some answer for ever."""
    asked: Any = channel.stream_stream(method)
    call = asked(iter([b""]), metadata=[("authorization", text) for text in sent], timeout=30)
    try:
        next(iter(call), None)
        return grpc.StatusCode.OK
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    finally:
        call.cancel()


def expected(credentials: str, right: Right | None) -> tuple[grpc.StatusCode | None, int | None]:
    """The refusal of these credentials, where this right is needed, by both doors; None where they get in."""
    if right is None or credentials in INCLUDED[right]:
        return None, None
    if credentials in RIGHTS:
        return grpc.StatusCode.PERMISSION_DENIED, 403
    return grpc.StatusCode.UNAUTHENTICATED, 401


def right_of(method: str) -> Right | None:
    return None if method in HEALTH else BY_PATH.get(method, Right.READ)


TRANSPORTS = ("plain", "tls", "mtls")
CELLS = list(itertools.product(TRANSPORTS, CREDENTIALS))


@pytest.mark.parametrize(("transport", "credentials"), CELLS)
def test_grpc(transport: str, credentials: str, places: dict[str, Place]) -> None:
    place = places[transport]
    sent = CREDENTIALS[credentials](place.tokens)
    wrong = []
    with place.channel() as opened:
        for method in sorted(METHODS | HEALTH | REFLECTION | UNKNOWN):
            code, (refusal, _) = outcome(opened, method, sent), expected(credentials, right_of(method))
            fits = code is refusal if refusal else code not in REFUSALS | {grpc.StatusCode.UNAVAILABLE}
            if not fits or (method in UNKNOWN and refusal is None and code is not grpc.StatusCode.UNIMPLEMENTED):
                wrong.append((method, code, refusal))
    assert wrong == []


def routes() -> list[tuple[str, str]]:
    """Every method and path of the HTTP door."""
    found = all_routes(Desk(), Metrics(Desk()))
    assert len(found) > 25
    return sorted((method, route.path) for route in found for method in route.methods or ())


def right_to(method: str, path: str) -> Right | None:
    if path in PROBES and method in ("GET", "HEAD"):
        return None
    return Right.READ if method in ("GET", "HEAD", "OPTIONS") or path == "/api/estimate" else Right.DRAW


def addressed(path: str) -> str:
    for part in ("{job_id}", "{index:int}", "{name:path}"):
        path = path.replace(part, "0")
    return path


@pytest.mark.parametrize(("transport", "credentials"), CELLS)
def test_http(transport: str, credentials: str, places: dict[str, Place]) -> None:
    place = places[transport]
    headers = [("authorization", text) for text in CREDENTIALS[credentials](place.tokens)]
    wrong = []
    more = [("POST", "/healthz"), ("GET", "/nobody/knows"), ("POST", "/nobody/knows"), ("GET", "/app.js")]
    with place.http() as http:
        for method, path in [*routes(), *more]:
            status = http.request(method, addressed(path), headers=headers).status_code
            _, refusal = expected(credentials, right_to(method, path))
            if status != refusal if refusal else status in (401, 403):
                wrong.append((method, path, status, refusal))
    assert wrong == []


def test_the_matrix_is_as_large_as_it_claims() -> None:
    cells = len(TRANSPORTS) * len(CREDENTIALS) * (len(METHODS | HEALTH | REFLECTION | UNKNOWN) + len(routes()))
    assert cells > 3000
    assert set(BY_PATH) == METHODS | REFLECTION, "each method of ours has its right, and there is none that is not ours"


@pytest.mark.parametrize("shown", ["nothing", "of another authority", "none, and no TLS"])
def test_mtls_lets_nobody_in_without_its_certificate(shown: str, places: dict[str, Place], folder: Path) -> None:
    place = places["mtls"]
    files = None if shown == "none, and no TLS" else place.files
    foreign = certificates(folder / "foreign") if shown == "of another authority" else None
    method = "/grpc.health.v1.Health/Check"  # for which there needs to be no token
    with channel(place.server, files, shows=foreign) as opened:
        assert outcome(opened, method, []) is grpc.StatusCode.UNAVAILABLE
    with Place(place.server, {}, files, foreign).http() as http, pytest.raises(httpx.TransportError):
        http.get("/healthz" if files else place.server.url.replace("https", "http") + "/healthz")


def test_a_unix_socket_is_its_owners_alone_and_asks_for_a_token(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "safelight.sock"
    known = new_tokens(folder / "unix.tokens", drawer=Right.DRAW)
    options = (f"--tokens={folder / 'unix.tokens'}", f"--listen=unix:{path}", SMALL, "--ephemeral")
    with ServerProcess(*options) as server, channel(server) as opened:
        assert path.stat().st_mode & 0o777 == 0o600
        method = "/safelight.v1.ImageService/ListModels"
        assert outcome(opened, method, []) is grpc.StatusCode.UNAUTHENTICATED
        assert outcome(opened, method, [f"Bearer {known['drawer']}"]) is grpc.StatusCode.OK
        assert outcome(opened, "/grpc.health.v1.Health/Check", []) is grpc.StatusCode.OK
