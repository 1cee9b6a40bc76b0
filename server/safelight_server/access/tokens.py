"""The file of tokens: who may call, known by the hash of a secret that only they have."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from safelight_server.callers import Caller, Right
from safelight_server.errors import LoadError, TokenMissing, TokenUnknown

from .watched import Watched

PREFIX = "sl_"  # so that programs that look for leaked secrets can know one
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DIGEST = re.compile(r"[0-9a-f]{64}")
USUAL = (Right.READ, Right.DRAW)
LONGEST = 512  # characters of a token: what is longer is none


class Entry(NamedTuple):
    """One line: a caller may have several, so that a new token works before the old one goes."""

    digest: bytes
    caller: Caller


class Tokens:
    """The callers of a file with lines `name: sha256[: rights]`. It is read again when it has changed."""

    def __init__(self, file: Path) -> None:
        """Raises LoadError for a file that cannot be read, or in which nobody is named."""
        self._entries = Watched([file], lambda: _read(file))
        if not self._entries.get():
            raise LoadError(f"{file}: has no token; `safelight-server token NAME --tokens {file}` makes one")

    def names(self) -> list[str]:
        """Who may call."""
        return sorted({entry.caller.name for entry in self._entries.get()})

    def caller(self, token: str | None) -> Caller:
        """Whose token this is. Raises TokenMissing or TokenUnknown. It takes as long for a wrong one as for a right."""
        if not token:
            raise TokenMissing
        digest = hashlib.sha256(token[:LONGEST].encode(errors="surrogateescape")).digest()
        found = None
        for entry in self._entries.get():
            if hmac.compare_digest(entry.digest, digest):
                found = entry.caller
        if found is None or len(token) > LONGEST:
            raise TokenUnknown
        return found


def make(name: str, rights: Iterable[Right]) -> tuple[str, str]:
    """A new token, and the line of the file that lets whoever has it in. Raises ValueError for a name that is none."""
    if not NAME.fullmatch(name):
        raise ValueError(f"must be 1 to 64 letters, digits, dots, dashes and underscores, not {name[:80]!r}")
    token = PREFIX + secrets.token_urlsafe(32)
    return token, f"{name}: {hashlib.sha256(token.encode()).hexdigest()}: {max(rights, key=list(Right).index)}"


def rights_of(text: str) -> frozenset[Right]:
    """The rights that these words are, with those that they include. Raises ValueError."""
    words = re.split(r"[\s,]+", text.strip())
    unknown = [word for word in words if word not in list(Right)]
    if unknown:
        raise ValueError(f"must be of {', '.join(Right)}, not {unknown[0][:80]!r}")
    order = list(Right)
    return frozenset(order[: 1 + max(order.index(Right(word)) for word in words)])


def _read(file: Path) -> list[Entry]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise LoadError(f"{file}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise LoadError(f"{file}: cannot be read: {error}") from None
    entries: dict[bytes, Entry] = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            entry = _entry(text, f"{file}, line {number}")
            if entry.digest in entries:
                raise LoadError(f"{file}, line {number}: this token is there already: each has one line")
            entries[entry.digest] = entry
    return list(entries.values())


def _entry(text: str, place: str) -> Entry:
    name, _, rest = (part.strip() for part in text.partition(":"))
    digest, _, rights = (part.strip() for part in rest.partition(":"))
    if not NAME.fullmatch(name):
        raise LoadError(f"{place}: must be `name: sha256[: rights]`, with a name of letters, digits, dots and dashes")
    if not DIGEST.fullmatch(digest.lower()):  # not shown: it may be the token itself
        raise LoadError(f"{place}: the SHA-256 of {name} must be 64 hexadecimal digits")
    try:
        granted = rights_of(rights) if rights else frozenset(USUAL)
    except ValueError as error:
        raise LoadError(f"{place}: the rights of {name} {error}") from None
    return Entry(bytes.fromhex(digest), Caller(name, granted))
