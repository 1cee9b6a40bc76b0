"""One device's executor: it runs one inference at a time, and chooses the next one by the policy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from safelight_server.observer import SILENT, Observer

from . import policy
from .batching import Batching, Entry, join, split
from .network import Network, Tensor
from .step_times import StepTimes
from .ticket import Ticket

# Seconds that the lane waits for the next step of a job whose last one has just ended: the sampler's arithmetic takes
# one or two milliseconds. Without it, somebody else's step would always come first, and joined jobs would drift apart.
HOLD = 0.02


class Lane:
    """Owns a device: two graphs that run at once on the same cores are slower than one after the other.

    Between two steps a job is a value, so any other job may overtake it there.
    """

    def __init__(self, device: str, observer: Observer = SILENT) -> None:
        self.device = device
        self.step_times = StepTimes()
        self.batching = Batching()
        self.networks: dict[Path, Network] = {}  # by the graph's file: models that share a file share what runs it
        self._observer = observer
        self._waiting: list[Entry] = []
        self._expected: set[Ticket] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None
        self._batch: Sequence[Entry] = ()
        self._turns: list[asyncio.Future[None]] = []  # of those who want the lane to themselves
        self._taken = False

    async def run(
        self, network: Network, inputs: Mapping[str, Tensor], ticket: Ticket | None = None
    ) -> dict[str, Tensor]:
        """Runs `network` when it is the ticket's turn; its outputs by name. The first axis of every input is rows.

        Without a ticket it is a small job of its own, as a tool asks for. Raises what the network raises. If the caller
        is cancelled, its entry leaves the queue; if the inference runs already, it is stopped unless others are in it.
        """
        entry = Entry(network, inputs, ticket or Ticket(), goes_on=ticket is not None)
        self._waiting.append(entry)
        entry.ticket.leave()  # it has come: the lane that expected it need not wait any more
        self._next()
        try:
            return await entry.outputs
        except asyncio.CancelledError:
            await self._drop(entry)
            raise

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        """The lane to oneself: no inference runs meanwhile. For what changes a network that others use."""
        turn = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        self._next()
        try:
            await turn
            yield
        finally:
            if turn in self._turns:
                self._turns.remove(turn)
            elif not turn.cancelled():
                self._taken = False
            self._next()

    def forget(self, network: Network) -> None:
        """What was measured of a network that no model uses any more, and the network itself."""
        self.networks = {path: other for path, other in self.networks.items() if other is not network}
        self.step_times.forget(network.name)
        self.batching.forget(network.name)

    async def _drop(self, entry: Entry) -> None:
        entry.outputs.cancel()
        entry.ticket.leave()
        if entry in self._waiting:
            self._waiting.remove(entry)
        elif self._running and entry in self._batch and all(other.outputs.cancelled() for other in self._batch):
            self._running.cancel()
            await asyncio.wait({self._running})

    def _next(self) -> None:
        """Starts an inference, if the device is free and all who are about to ask have asked."""
        if self._running or self._taken:
            return
        self._turns = [turn for turn in self._turns if not turn.cancelled()]
        if self._turns:
            self._taken = True
            self._turns.pop(0).set_result(None)
        elif self._waiting and not self._expected:
            self._batch = self._choose()
            self._running = asyncio.create_task(self._infer(self._batch))
            self._running.add_done_callback(self._end)  # a task that is cancelled at once runs no `finally`

    def _choose(self) -> list[Entry]:
        """Takes the entry that goes next out of the queue, and those that may join it."""
        now = time.monotonic()
        ready = {entry: entry.ticket.ready(now, self._estimate(entry)) for entry in self._waiting}
        first = self._waiting[policy.choose(list(ready.values()))]
        alike = [entry for entry in ready if entry is not first and entry.signature == first.signature]
        batch = self.batching.batch(first, sorted(alike, key=lambda entry: policy.urgency(ready[entry])))
        for entry in batch:
            self._waiting.remove(entry)
        return batch

    def _estimate(self, entry: Entry) -> float:
        return self.step_times.seconds(entry.network.name, entry.shape)

    async def _infer(self, batch: Sequence[Entry]) -> None:
        """Runs a batch. What comes of it, good or bad, is for those who wait for it."""
        network, began = batch[0].network, time.monotonic()
        try:
            inputs = join(batch)
            outputs = split(batch, await network(inputs))
        except Exception as error:
            self._observer.inference_failed(network.name, sum(entry.rows for entry in batch))
            for entry in _unanswered(batch):
                entry.outputs.set_exception(error)
            return
        self._account(batch, next(iter(inputs.values())).shape, time.monotonic() - began)
        for entry, rows in zip(batch, outputs, strict=True):
            if not entry.outputs.done():
                entry.outputs.set_result(rows)

    def _account(self, batch: Sequence[Entry], shape: tuple[int, ...], seconds: float) -> None:
        name = batch[0].network.name
        self.step_times.observe(name, shape, seconds)
        self._observer.inference_ended(name, shape[0], seconds)
        for entry in batch:
            entry.ticket.served(seconds, self._expect)
        for entry in _unanswered(batch):
            if entry.goes_on:
                self._expect(entry.ticket)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running, self._batch = None, ()
        self._next()

    def _expect(self, ticket: Ticket) -> None:
        """This job is about to ask: its step has just ended, or its preview is to be painted. It gets a moment."""
        self._expected.add(ticket)
        ticket.leave_with(partial(self._unexpect, ticket))
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(HOLD, self._expect_nobody)

    def _unexpect(self, ticket: Ticket) -> None:
        self._expected.discard(ticket)
        self._next()

    def _expect_nobody(self) -> None:
        self._expected.clear()
        self._next()


def _unanswered(batch: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in batch if not entry.outputs.done()]
