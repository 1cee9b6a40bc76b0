"""How a client says who calls, and over what: nothing secret goes where others could read it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from safelight import AsyncClient, Client
from safelight.__main__ import main
from safelight.security import security_of
from support import fake_server as fake
from support.access import Certificates, certificates
from support.clients import Connect
from support.fake_server import FakeServer, serve

TOKEN = "sl_a-token-that-nobody-else-has"


@pytest.fixture
def told() -> list[dict[str, Any]]:
    """The metadata of each Generate that a server gets."""
    return []


@pytest.fixture
def server(told: list[dict[str, Any]]) -> Iterator[FakeServer]:
    def note(request: Any, context: grpc.ServicerContext) -> Any:
        told.append(dict(context.invocation_metadata()))
        return fake.generated(request, context)

    with serve(generate=note) as process:
        yield process


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


def test_a_token_goes_with_each_call(
    connect: Connect, server: FakeServer, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(server.address).generate("p")
    connect(server.address, token=TOKEN).generate("p")
    monkeypatch.setenv("SAFELIGHT_TOKEN", f" {TOKEN}\n")
    connect(server.address).generate("p")
    connect(server.address, token="").generate("p")
    connect(server.address, metadata={"Authorization": "Bearer mine"}).generate("p")
    sent = [metadata.get("authorization") for metadata in told]
    assert sent == [None, f"Bearer {TOKEN}", f"Bearer {TOKEN}", None, "Bearer mine"]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("address", ["10.0.0.1", "http://pictures.example", "10.0.0.1:1,127.0.0.1:1", "dns:///host:1"])
def test_a_token_is_never_sent_in_plain_text_to_another_machine(kind: Any, address: str) -> None:
    with pytest.raises(ValueError, match="a token goes to this machine, or over TLS: say https://") as caught:
        kind(address, token=TOKEN)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("token", ["two words", "é", "a\nb"])
def test_what_is_no_token_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        Client("localhost", token=token)
    assert token not in str(caught.value)


def test_a_token_is_in_no_repr(server: FakeServer) -> None:
    with Client(server.address, token=TOKEN) as client:
        shown = [repr(value) for value in (client, *vars(client).values(), client._line, client._line._metadata)]
    shown.append(repr(security_of("localhost:1", False, None, TOKEN, None, None)))
    assert not any(TOKEN in text for text in shown)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cert": (None, "key")}, "a key alone is none"),
        ({"ca": "no.pem"}, "ca must be a PEM file, not 'no.pem'"),
        ({"cert": "no.pem"}, "cert must be a PEM file"),
        ({"ca": "no.pem", "credentials": grpc.ssl_channel_credentials()}, "credentials are whole"),
    ],
)
def test_files_that_are_no_certificates(
    options: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("no.pem").write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        Client("https://localhost:1", **options)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        Client("https://localhost:1", ca="nowhere.pem")


def test_tls_is_for_https_and_for_who_names_files(files: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    def encrypts(https: bool, ca: Path | None = None, cert: Any = None) -> bool:
        return security_of("localhost:1", https, None, None, ca, cert).credentials is not None

    assert [encrypts(False), encrypts(True), encrypts(False, files.ca)] == [False, True, True]
    assert encrypts(False, None, (files.client, files.client_key))
    monkeypatch.setenv("SAFELIGHT_CA", "nowhere.pem")
    assert not encrypts(False), "the variable is only for those who speak TLS"
    with pytest.raises(FileNotFoundError):
        encrypts(True)


def test_the_command_line_reads_the_token_from_a_file(
    server: FakeServer, told: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("token").write_text(f"{TOKEN}\n", encoding="utf-8")
    assert main(["generate", "p", "--address", server.address, "--token-file", "token", "-q"]) == 0
    assert told[0]["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--key", "key.pem"], "--key is the key to --cert: give both"),
        (["--token-file", "nowhere"], "nowhere"),
    ],
)
def test_what_the_command_line_refuses(arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = main(["models", "--address", "https://localhost:1", *arguments])
    except SystemExit as exit:
        code = exit.code
    assert code == 2
    assert said in capfd.readouterr().err


def test_who_is_not_let_in_is_told_what_to_do(capfd: pytest.CaptureFixture[str]) -> None:
    def refuse(request: Any, context: grpc.ServicerContext) -> Any:
        info = ErrorInfo(reason="TOKEN_MISSING", domain="safelight")
        fake.refuse(context, grpc.StatusCode.UNAUTHENTICATED, "a token is needed", info)

    with serve(models=refuse) as server:
        assert main(["models", "--address", server.address]) == 6
    assert capfd.readouterr().err == "safelight: a token is needed; set SAFELIGHT_TOKEN, or give --token-file\n"
