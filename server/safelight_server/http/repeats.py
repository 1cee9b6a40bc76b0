"""The same request once more: a client that gave up waiting and asks again gets the drawing that it asked for first."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from safelight_server.errors import JobError

from .failures import Gone

GRACE = 30.0  # seconds that a drawing waits for its caller to ask again
LATEST = GRACE - 1  # for it to be sure that the drawing still waits
MOST = 1000  # requests that are remembered before the old ones are looked for


@dataclass(eq=False)
class Asked:
    """A drawing that was asked for; `request_id` is its job's. `attempt`: how often the client has asked again."""

    request_id: str
    attempt: int
    connections: int = 0  # that wait for it now
    cut: bool = False  # one ended before its answer, and nobody has asked again
    answered: bool = False
    left: float = field(default=0.0)  # when the last one ended


class Repeats:
    """Tells a repeat from a request that only looks the same.

    Both OpenAI SDKs post again when their time is up, and so do many programs: the same body, from the same caller,
    and without any key. A server that takes each for a new request draws three pictures, and delivers none. But whoever
    wants two pictures posts the same body twice as well, and gets two only if the second request is not taken for a
    repeat. So a request is a repeat

    - if it says so, by `x-stainless-retry-count`: both SDKs count from 0, anew for each request. It gets the drawing
      whose connection was cut; else one whose connection looks open, for the end of one may be noticed after the start
      of the next; else one that was answered just now, for the answer may have crossed with the client's leaving. But
      none that was asked for as often as this already: the first repeat belongs to a first request.
    - if it does not say so, and there is a drawing whose connection was cut before its answer. While the first
      connection is open, or once it was answered, the same body is a new request, and makes a new drawing.

    A new request makes the answered ones forgotten: their client has moved on. What failed is forgotten as well. All
    of it lasts for GRACE seconds after a connection's end; just as long, the job waits (on_disconnect GRACE) under the
    request_id that is given here, by which the job book makes the repeat the same job. `Idempotency-Key` needs no
    guesses: see `request_id_of`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: dict[bytes, list[Asked]] = {}

    def find(self, identity: bytes, attempt: int = 0) -> Asked:
        """The drawing that a request wants; `identity` is its body's and its caller's, `attempt` what it says."""
        self._forget_old(identity)
        known = self._asked.setdefault(identity, [])
        ranked = sorted((asked for asked in known if _fits(asked, attempt)), key=_rank)
        if ranked:
            ranked[0].attempt, ranked[0].cut = max(ranked[0].attempt, attempt), False
            return ranked[0]
        new = Asked(secrets.token_hex(16), attempt, left=self._clock())
        self._asked[identity] = [*(asked for asked in known if not asked.answered), new]
        return new

    @contextmanager
    def waiting(self, identity: bytes, asked: Asked) -> Iterator[None]:
        """While a connection waits for it. Set `answered` once all is sent."""
        asked.connections += 1
        try:
            yield
        except BaseException as error:
            if isinstance(error, JobError) and not isinstance(error, Gone):
                self._forget(identity, asked)
            asked.cut = True
            raise
        finally:
            asked.connections -= 1
            asked.left = self._clock()

    def _forget(self, identity: bytes, asked: Asked) -> None:
        left = [other for other in self._asked.get(identity, ()) if other is not asked]
        self._asked[identity] = left
        if not left:
            del self._asked[identity]

    def _forget_old(self, identity: bytes) -> None:
        oldest = self._clock() - LATEST
        for key in list(self._asked) if len(self._asked) > MOST else [identity]:
            kept = [asked for asked in self._asked.get(key, ()) if asked.connections or asked.left >= oldest]
            self._asked.pop(key, None)
            if kept:
                self._asked[key] = kept


def identity_of(caller: str, *parts: bytes) -> bytes:
    """Of a request by its caller and what it asks for."""
    found = hashlib.sha256(caller.encode())
    for part in parts:
        found.update(len(part).to_bytes(8, "big") + part)
    return found.digest()


def request_id_of(caller: str, key: str) -> str:
    """For a request that has an `Idempotency-Key`: the same for the same one of the same caller."""
    return "key-" + identity_of(caller, key.encode()).hex()[:32]


def attempt_of(text: str | None) -> int:
    """What `x-stainless-retry-count` says."""
    return int(text) if text and text.isdecimal() and len(text) < 4 else 0


def _fits(asked: Asked, attempt: int) -> bool:
    if attempt:
        return asked.attempt < attempt
    return asked.cut and not asked.connections and not asked.answered


def _rank(asked: Asked) -> int:
    """The most likely one first: cut, open, answered."""
    if asked.answered:
        return 2
    return 0 if asked.cut and not asked.connections else 1
