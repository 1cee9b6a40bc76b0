"""safelight-server check: what would keep a server from starting is told before, all of it in one go."""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from safelight_server import demo
from safelight_server.callers import Right
from safelight_server.commands import config_file, serve_options
from safelight_server.commands.check import add
from safelight_server.commands.parsing import Parser
from safelight_server.config import Config
from safelight_server.errors import LoadError
from safelight_server.job_store import database
from safelight_server.lanes import free_memory
from safelight_server.rpc import peer_limits
from support.access import certificates, new_tokens
from support.command_line import run
from support.servers import refused_start

XL = f"--model=xl={demo.FOLDERS['demo-xl']}"


@pytest.fixture
def place(tmp_path: Path) -> list[object]:
    """Options of a server that would start."""
    return [XL, "--listen=127.0.0.1:0", f"--state-dir={tmp_path / 'state'}"]


def lines(mark: str, *arguments: object) -> list[str]:
    """Those with this mark."""
    ran = run("check", *arguments)
    assert ran.err == ""
    assert ran.code == ("FAILED" in ran.out), ran.out
    return [line for line in ran.out.splitlines() if line.startswith(mark)]


def test_it_takes_what_serve_takes() -> None:
    top = Parser(prog="top")
    commands = top.add_subparsers()
    add(commands)
    other = Parser(prog="serve")
    serve_options.add_options(other)
    assert config_file.keys(commands.choices["check"]).keys() == config_file.keys(other).keys()


def test_a_server_that_would_start(place: list[object], tmp_path: Path) -> None:
    ran = run("check", *place)
    assert ran.code == 0, ran.out
    assert "ok       model xl: " in ran.out
    assert "ok       --device CPU: " in ran.out
    assert "ok       --listen 127.0.0.1:0: is free" in ran.out
    assert ran.out.splitlines()[-1].startswith("0 failed, 0 warnings, ")
    assert list(tmp_path.iterdir()) == [], "nothing is made"


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = tmp_path / "serve.toml"
        file.write_text(
            f"""
            listen = "0.0.0.0:50051"
            metrics = {taken.getsockname()[1]}
            state-dir = "serve.toml/state"
            tokens = "tokens"
            tls-cert = "cert.pem"
            tls-key = "key.pem"
            device = ["TPU"]
            [model]
            gone = "gone"
            empty = "."
            """,
            encoding="utf-8",
        )
        told = lines("FAILED", "--config", file)
    for words in ("gone: is not there", "model_index.json: is missing", "--device TPU", "cert.pem: No such file"):
        assert any(words in line for line in told), words
    for words in ("tokens: cannot be read", "stop what listens there", "serve.toml is a file: name a folder"):
        assert any(words in line for line in told), words
    assert len(told) == 7, told


def spoil(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes(b"no")


@pytest.mark.parametrize(
    ("breaking", "told"),
    [
        (spoil("unet/openvino_model.xml"), "unet/openvino_model.xml: OpenVINO says"),
        (spoil("model_index.json"), "model_index.json: cannot be read as JSON"),
        (lambda folder: (folder / "unet/openvino_model.bin").unlink(), "openvino_model.bin: is missing"),
    ],
)
def test_a_model_that_is_broken_is_refused_in_the_words_of_the_server(
    breaking: Callable[[Path], object], told: str, place: list[object], tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(demo.FOLDERS["demo-xl"], folder)
    breaking(folder)
    failed = lines("FAILED", f"--model=m={folder}", *place[1:])
    assert any(told in line for line in failed), failed
    refused = refused_start(f"--model=m={folder}", "--no-verify", *place[1:]).splitlines()[-1]
    assert told in refused


def test_a_tokenizer_that_is_broken_is_found_without_the_minutes_of_compiling(
    place: list[object], tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(demo.FOLDERS["demo-xl"], folder)
    (folder / "tokenizer/tokenizer.json").write_bytes(b"no")
    failed = lines("FAILED", f"--model=m={folder}", *place[1:])
    assert any("the tokenizer cannot be read" in line for line in failed), failed


def test_seals_are_read_only_on_request(place: list[object], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(demo.FOLDERS["demo-xl"], folder)
    weights = folder / "unet/openvino_model.bin"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    options = [f"--model=m={folder}", *place[1:]]
    assert any("--seals does, in" in line for line in lines("ok", *options))
    assert any("is not the file that was exported" in line for line in lines("FAILED", *options, "--seals"))
    assert any("all as exported (" in line for line in lines("ok", *place, "--seals"))


def test_addresses_that_others_reach(place: list[object]) -> None:
    rest = [place[0], place[2]]
    assert any("this address is open to others" in line for line in lines("FAILED", "--listen=0.0.0.0:0", *rest))
    assert any("--insecure asks for nothing" in line for line in lines("warning", "--listen=:0", "--http=0.0.0.0:0",
                                                                      "--insecure", *rest))  # fmt: skip


def self_signed(folder: Path, days: float) -> tuple[Path, Path]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "box")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=90))
        .not_valid_after(now + datetime.timedelta(days=days, hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("box")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    key_file.chmod(0o600)
    return cert_file, key_file


@pytest.mark.parametrize(
    ("days", "mark", "told"),
    [
        (365, "ok", "fits its key, is for box, and ends in 365 days"),
        (9, "warning", "ends in 9 days"),
        (-1, "FAILED", "clients will refuse it: certificate has expired"),
    ],
)
def test_a_certificate_is_seen_as_a_client_sees_it(
    days: int, mark: str, told: str, place: list[object], tmp_path: Path
) -> None:
    cert, key = self_signed(tmp_path, days)
    found = lines(mark, *place, f"--tls-cert={cert}", f"--tls-key={key}")
    assert any(told in line for line in found), found


def test_a_certificate_of_an_authority_with_callers_that_show_theirs(place: list[object], tmp_path: Path) -> None:
    files = certificates(tmp_path / "files")
    options = [f"--tls-cert={files.cert}", f"--tls-key={files.key}", f"--tls-client-ca={files.ca}"]
    assert any("is for localhost, 127.0.0.1" in line for line in lines("ok", *place, *options))
    other = trustme.CA().issue_cert("other")
    other.private_key_pem.write_to_path(files.key)
    assert any("the key is not this certificate's" in line for line in lines("FAILED", *place, *options))


@pytest.mark.skipif(os.name != "posix", reason="no such rights")
def test_secrets_that_others_may_read(place: list[object], tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    new_tokens(file, alice=Right.DRAW, bob=Right.READ)
    file.chmod(0o644)
    assert any(f"chmod 600 {file}" in line for line in lines("warning", *place, f"--tokens={file}"))
    file.chmod(0o600)
    assert any("2 may call: alice, bob" in line for line in lines("ok", *place, f"--tokens={file}"))
    assert lines("warning", *place, f"--tokens={file}") == []


@pytest.fixture
def used(tmp_path: Path) -> Iterator[Path]:
    """A job store that a server has open."""
    folder = tmp_path / "state"
    connection = database.Database(folder)
    yield folder
    connection._connection.close()


def test_a_state_dir_of_another_server(used: Path, place: list[object]) -> None:
    assert any("another server stores its jobs here" in line for line in lines("FAILED", *place))


def test_a_state_dir_is_looked_at_and_left_as_it_is(place: list[object], tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    file = folder / database.NAME
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    before = file.read_bytes()
    assert any("of another version of Safelight (999" in line for line in lines("FAILED", *place))
    file.write_bytes(b"no database, and long enough to be read as one" * 100)
    damaged = file.read_bytes()
    assert any("serve puts it aside" in line for line in lines("warning", *place))
    assert (before, damaged) != (b"", before)
    assert [path.name for path in folder.iterdir()] == [database.NAME]
    assert file.read_bytes() == damaged


def test_too_little_of_what_the_machine_has(place: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory, "available", lambda: 2**20)
    assert any("serve fewer models" in line for line in lines("FAILED", *place))
    monkeypatch.setattr(free_memory, "available", lambda: 26_000_000)
    assert any("little is left for pictures" in line for line in lines("warning", *place))
    monkeypatch.setattr(free_memory, "available", lambda: 2**40)
    monkeypatch.setattr(peer_limits, "most_connections", lambda: 7)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: argparse.Namespace(free=2**20))
    assert any("7 connections at a time: raise the limit" in line for line in lines("warning", *place))
    assert any("make room, name another folder, or say --ephemeral" in line for line in lines("FAILED", *place))


def test_an_extra_that_is_missing(place: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(config: Config) -> None:
        raise LoadError("--http needs the extra [http]")

    monkeypatch.setattr("safelight_server.preflight.process.check_extras", refuse)
    assert any("--http needs the extra [http]" in line for line in lines("FAILED", *place, "--http=127.0.0.1:0"))


def test_a_unix_socket(place: list[object], tmp_path: Path) -> None:
    rest = [place[0], place[2]]
    assert any("can be made" in line for line in lines("ok", f"--listen=unix:{tmp_path}/s", *rest))
    assert any("there is no folder" in line for line in lines("FAILED", f"--listen=unix:{tmp_path}/no/s", *rest))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/s")
        listener.listen()
        assert any("another server listens" in line for line in lines("FAILED", f"--listen=unix:{tmp_path}/s", *rest))


def test_options_that_do_not_fit_each_other() -> None:
    assert lines("FAILED", "--model=a=x", "--device=b=CPU") == [
        "FAILED   --device b=CPU: there is no --model b; there are a"
    ]


def test_a_root_of_models_must_be_a_folder(tmp_path: Path) -> None:
    assert lines("ok", f"--models-root={tmp_path}")
    assert any("is no folder" in line for line in lines("FAILED", f"--models-root={tmp_path / 'nothing'}"))


def test_a_cache_that_cannot_be_written_keeps_no_server_from_starting(place: list[object], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (told,) = lines("warning", *place, f"--cache-dir={tmp_path / 'file' / 'cache'}")
    assert "is a file: name a folder; until then, each start compiles and measures anew" in told
