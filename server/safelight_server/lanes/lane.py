"""One device's executor: one inference at a time, chosen by the policy at every step, joined where that pays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from . import policy
from .batching import Batching, Part, join, split
from .network import Network, Tensor
from .step_times import StepTimes
from .ticket import ALONE, Ticket

# Seconds that the lane waits for the next step of a job whose last one has just ended: the sampler's arithmetic takes
# one or two milliseconds. Without it, somebody else's step would always come first, and joined jobs would drift apart.
HOLD = 0.02


class Lane:
    """Owns a device: two graphs that run at once on the same cores are slower than one after the other.

    Between two steps a job is a value, so that any other may overtake it there.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.step_times = StepTimes()
        self.batching = Batching()
        self.networks: dict[Path, Network] = {}  # by the graph's file: models that share a file share what runs it
        self._waiting: list[Part] = []
        self._expected: set[Ticket] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None
        self._batch: Sequence[Part] = ()

    async def run(self, network: Network, inputs: Mapping[str, Tensor], ticket: Ticket = ALONE) -> dict[str, Tensor]:
        """Runs `network` when it is the claim's turn. The first axis of all inputs is rows.

        Raises what the network raises. Cancelled, it leaves the queue, or stops the inference that nobody else is in.
        """
        part = Part(network, inputs, ticket)
        self._waiting.append(part)
        ticket.leave()  # it has come, and whichever lane expected it need not
        self._next()
        try:
            return await part.outputs
        except asyncio.CancelledError:
            await self._drop(part)
            raise

    async def _drop(self, part: Part) -> None:
        part.outputs.cancel()
        part.ticket.leave()
        if part in self._waiting:
            self._waiting.remove(part)
        elif self._running and part in self._batch and all(other.outputs.cancelled() for other in self._batch):
            self._running.cancel()
            await asyncio.wait({self._running})

    def _next(self) -> None:
        """Starts an inference, if the device is free and all who are about to ask have asked."""
        if self._waiting and not self._running and not self._expected:
            self._batch = self._chosen()
            self._running = asyncio.create_task(self._infer(self._batch))
            self._running.add_done_callback(self._ended)  # a task that is cancelled at once runs no `finally`

    def _chosen(self) -> list[Part]:
        """Takes the step that goes next out of the queue, and those that may join it."""
        now = time.monotonic()
        ready = {part: part.ticket.ready(now) for part in self._waiting}
        first = self._waiting[policy.choose(list(ready.values()))]
        alike = [part for part in ready if part is not first and part.kind == first.kind]
        batch = self.batching.batch(first, sorted(alike, key=lambda part: policy.urgency(ready[part])))
        for part in batch:
            self._waiting.remove(part)
        return batch

    async def _infer(self, batch: Sequence[Part]) -> None:
        """Runs a batch. What comes of it, good or bad, is for those who wait for it."""
        network, began = batch[0].network, time.monotonic()
        try:
            inputs = join(batch)
            outputs = split(batch, await network(inputs))
        except Exception as error:
            for part in _unanswered(batch):
                part.outputs.set_exception(error)
            return
        seconds = time.monotonic() - began
        self.step_times.observe(network.name, next(iter(inputs.values())).shape, seconds)
        self.expect(part.ticket for part in _unanswered(batch))
        for part, rows in zip(batch, outputs, strict=True):
            part.ticket.served += seconds
            if not part.outputs.done():
                part.outputs.set_result(rows)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running, self._batch = None, ()
        self._next()

    def expect(self, tickets: Iterable[Ticket]) -> None:
        """Those who are about to ask, as their step has just ended or they are to paint it, get a moment to do so."""
        for ticket in tickets:
            self._expected.add(ticket)
            ticket.expected(partial(self._came, ticket))
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(HOLD, self._expect_nobody)

    def _came(self, ticket: Ticket) -> None:
        self._expected.discard(ticket)
        self._next()

    def _expect_nobody(self) -> None:
        self._expected.clear()
        self._next()


def _unanswered(batch: Sequence[Part]) -> list[Part]:
    return [part for part in batch if not part.outputs.done()]
