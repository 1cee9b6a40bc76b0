"""The file of tokens: its lines, what is wrong with them, and what a running server makes of its changes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from safelight_server.access import tokens
from safelight_server.access.bearer import token_in
from safelight_server.access.tokens import Tokens
from safelight_server.callers import Caller, Right
from safelight_server.errors import LoadError, RightMissing, TokenMissing, TokenUnknown
from support.command_line import run

READ, DRAW, ADMIN = Right.READ, Right.DRAW, Right.ADMIN


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def file(folder: Path, *lines: str) -> Path:
    path = folder / "tokens.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("rights", "granted"),
    [
        ("", {READ, DRAW}),
        (":", {READ, DRAW}),
        (": read", {READ}),
        (": draw", {READ, DRAW}),
        (": read, draw", {READ, DRAW}),
        (": admin", {READ, DRAW, ADMIN}),
        (":admin read # she keeps it running", {READ, DRAW, ADMIN}),
    ],
)
def test_a_line(rights: str, granted: set[Right], tmp_path: Path) -> None:
    found = Tokens(file(tmp_path, "# callers", "", f"  alice : {digest('a').upper()} {rights}")).caller("a")
    assert found == Caller("alice", frozenset(granted))


def test_a_caller_may_have_two_tokens_while_the_old_one_goes(tmp_path: Path) -> None:
    known = Tokens(file(tmp_path, f"alice: {digest('old')}", f"alice: {digest('new')}: read"))
    assert known.caller("old").name == known.caller("new").name == "alice"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "has no token; `safelight-server token NAME --tokens"),
        (["# nobody"], "has no token"),
        (["alice"], "line 1: the SHA-256 of alice must be 64 hexadecimal digits"),
        (["alice: sl_secret"], "line 1: the SHA-256 of alice must be 64"),
        ([f"alice: {digest('a')}: paint"], "line 1: the rights of alice must be of read, draw, admin, not 'paint'"),
        ([f"alice: {digest('a')}", f"al ice: {digest('b')}"], "line 2: must be `name: sha256"),
        ([f"alice: {digest('a')}", f"bob: {digest('a')}"], "line 2: this token is there already"),
        ([f": {digest('a')}"], "line 1: must be `name: sha256"),
        ([f"{'a' * 65}: {digest('a')}"], "line 1: must be `name: sha256"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_one_line(lines: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError) as caught:
        Tokens(file(tmp_path, *lines))
    assert said in str(caught.value)
    assert "sl_secret" not in str(caught.value), "it may be somebody's token"
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="tokens: cannot be read"):
        Tokens(tmp_path / "tokens")


@pytest.mark.parametrize("token", ["b", "a ", "A", digest("a"), "a" * 513, "é", "\udc80"])
def test_a_wrong_token(token: str, tmp_path: Path) -> None:
    known = Tokens(file(tmp_path, f"alice: {digest('a')}", f"long: {digest('a' * 512)}"))
    with pytest.raises(TokenUnknown) as caught:
        known.caller(token)
    assert token not in str(caught.value).split()


@pytest.mark.parametrize("token", [None, ""])
def test_no_token(token: str | None, tmp_path: Path) -> None:
    with pytest.raises(TokenMissing):
        Tokens(file(tmp_path, f"alice: {digest('a')}")).caller(token)


def test_a_change_counts_at_once_and_a_broken_file_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = file(tmp_path, f"alice: {digest('a')}")
    known = Tokens(path)
    file(tmp_path, f"bob: {digest('b')}")
    assert known.caller("b").name == "bob"
    with pytest.raises(TokenUnknown):
        known.caller("a")
    file(tmp_path, "bob: nothing")
    assert known.caller("b").name == "bob"
    assert known.caller("b").name == "bob"
    path.unlink()
    assert known.caller("b").name == "bob"
    told = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert len(told) == 2, "once for each change"
    assert "line 1: the SHA-256 of bob must be 64 hexadecimal digits; what was there before still counts" in told[0]
    file(tmp_path, "# nobody any more")
    with pytest.raises(TokenUnknown):
        known.caller("b")


def test_rights_are_checked() -> None:
    Caller("alice", {READ, DRAW}).check(DRAW)
    with pytest.raises(RightMissing, match="alice may not do this: it takes the right to admin") as caught:
        Caller("alice", {READ, DRAW}).check(ADMIN)
    assert caught.value.metadata == {"right": "admin"}


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer t", "t"),
        ("bearer   t ", "t"),
        ("Basic YWxpY2U6dA==", "t"),  # alice:t
        ("Basic YWxpY2U6dDp1", "t:u"),
        ("Basic OnQ=", "t"),
        ("Basic YWxpY2U=", None),  # alice
        ("Basic %%%", None),
        ("Basic gIGC", None),  # no UTF-8
        ("Digest t", None),
        ("t", None),
        ("Bearer", None),
        ("", None),
        (None, None),
    ],
)
def test_where_a_token_stands_in_a_header(header: str | None, token: str | None) -> None:
    assert token_in(header) == token


def test_the_command_makes_a_token_that_the_file_knows(tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    path.write_text("# no newline at the end", encoding="utf-8")
    path.chmod(0o600)
    first = run("token", "alice", "--tokens", path)
    second = run("token", "bob", "--rights", "read", "--tokens", path)
    assert (first.code, first.err, second.code) == (0, "", 0)
    known = Tokens(path)
    assert known.caller(first.out.strip()) == Caller("alice", frozenset(tokens.USUAL))
    assert known.caller(second.out.strip()) == Caller("bob", frozenset({READ}))
    assert first.out.strip() not in path.read_text(encoding="utf-8")


def test_the_command_makes_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    assert run("token", "alice", "--tokens", tmp_path / "tokens.txt").code == 0
    assert (tmp_path / "tokens.txt").stat().st_mode & 0o777 == 0o600


def test_the_command_without_a_file_says_the_line() -> None:
    ran = run("token", "alice", "--rights", "admin")
    token, line = ran.out.strip(), ran.err.splitlines()[1]
    assert line == f"alice: {digest(token)}: admin"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("al ice",), "NAME must be 1 to 64 letters"), (("a", "--rights", "paint"), "must be of read, draw, admin")],
)
def test_what_the_command_refuses(arguments: tuple[str, ...], said: str) -> None:
    ran = run("token", *arguments)
    assert ran.code
    assert said in ran.err
