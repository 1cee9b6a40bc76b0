"""When a call is tried again: by lot in time, and only as long as few calls to this server fail (gRFC A6).

gRPC's own retries count failures by channel, so that many clients, or one for each call, send three times their
requests to a server that is down; and their waits differ by a fifth only, so that all come back together.
"""

from __future__ import annotations

import random
import threading
import time

import grpc

from .statuses import retry_delay_of

TRIES = 3  # of one call
FIRST_WAIT, LONGEST_WAIT = 1.0, 3.0  # seconds: the wait is drawn from 0 to this; it grows threefold
PATIENCE = 10.0  # seconds: a server that wants a longer wait tells it to the caller, who may have other plans


class Budget:
    """Tokens: a failure takes one, a success gives a tenth, and with half of them gone nothing is tried again.

    So an outage costs a process two more requests than its calls, however many those are; then retries wait until calls
    succeed again.
    """

    MOST, EARNED = 6.0, 0.1

    def __init__(self) -> None:
        self._tokens = self.MOST
        self._lock = threading.Lock()

    def fail(self) -> bool:
        """Takes a token, and says whether another try is in order."""
        with self._lock:
            self._tokens = max(0.0, self._tokens - 1)
            return self._tokens > self.MOST / 2

    def succeed(self) -> None:
        """Gives a tenth of a token."""
        with self._lock:
            self._tokens = min(self.MOST, self._tokens + self.EARNED)


_budgets: dict[str, Budget] = {}


def budget_of(address: str) -> Budget:
    """The one budget for this server in this process, whatever clients there are."""
    return _budgets.setdefault(address, Budget())


class Tries:
    """One call: how long each try may take, and how long to wait for the next one."""

    def __init__(self, address: str, timeout: float | None, most: int = TRIES) -> None:
        self._budget = budget_of(address)
        self._end = None if timeout is None else time.monotonic() + timeout
        self._most, self._failed = most, 0

    def timeout(self) -> float | None:
        """Seconds that are left of the call's timeout; None: as long as it takes."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def succeeded(self) -> None:
        self._budget.succeed()

    def cause(self, error: grpc.RpcError) -> grpc.RpcError:
        """What to tell of a call that ended with this error."""
        return error

    def wait_after(self, error: grpc.RpcError) -> float | None:
        """Seconds until the next try; None: there is none, and the error stands."""
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            return None
        self._failed += 1
        allowed = self._budget.fail() and self._failed < self._most
        asked = retry_delay_of(error)
        if not allowed or not 0 <= (asked or 0.0) <= PATIENCE:
            return None
        wait = (asked or 0.0) + random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 3 ** (self._failed - 1)))
        left = self.timeout()
        return wait if left is None or wait < left else None
