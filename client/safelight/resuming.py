"""When a call goes on after its link was lost: soon at first, then every few seconds, and not for ever."""

from __future__ import annotations

import random
import time

import grpc

from .retries import PATIENCE, Tries
from .statuses import goes_on, is_cut, is_lost_job, retry_delay_of

FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0  # seconds: the wait doubles, and is drawn from its upper half
RESUME_FOR = 300.0  # seconds without anything new


class Resuming(Tries):
    """The tries of a call that has an id, so that it may be sent again: it is the same job.

    Until a server has taken it, it is tried as often as any call. From then on it goes on: each time that something new
    is heard, for RESUME_FOR.
    """

    def __init__(self, address: str, timeout: float | None) -> None:
        super().__init__(address, timeout)
        self._taken = self._was_heard = False
        self._lost: grpc.RpcError | None = None  # what broke first since something was heard
        self._since = 0.0
        self._waits = 0

    def heard(self) -> None:
        """Something new has come."""
        if not self._was_heard:
            self.succeeded()
        self._taken = self._was_heard = True
        self._lost, self._waits = None, 0

    def wait_after(self, error: grpc.RpcError) -> float | None:
        """Seconds until the next try; None: there is none, and what `cause` says stands."""
        if not self._taken and not is_cut(error):
            return super().wait_after(error)
        if not goes_on(error) or self._breaks_it(error):
            return None
        self._taken = True
        if self._lost is None:
            self._lost, self._since = error, time.monotonic()
        return self._wait(retry_delay_of(error) or 0.0)

    def cause(self, error: grpc.RpcError) -> grpc.RpcError:
        """What to tell of a call that ended with this error: a job that is lost with its server is a lost link."""
        return self._lost if self._lost is not None and is_lost_job(error) else error

    def _breaks_it(self, error: grpc.RpcError) -> bool:
        """Whether a call of which nothing was heard has reached servers often enough: it may be what ends them."""
        self._failed += not self._was_heard and is_cut(error)
        return self._failed >= self._most

    def _wait(self, asked: float) -> float | None:
        if not 0 <= asked <= PATIENCE:
            return None
        backoff = min(LONGEST_WAIT, FIRST_WAIT * 2.0**self._waits) * random.uniform(0.5, 1)
        self._waits += 1
        wait, left = max(asked, backoff), self.timeout()
        too_long = time.monotonic() + wait > self._since + RESUME_FOR or (left is not None and wait >= left)
        return None if too_long else wait
