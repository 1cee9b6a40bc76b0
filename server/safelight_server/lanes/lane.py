"""One device's executor: it runs one inference at a time, and chooses the next one by the policy."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from safelight_server.errors import DeviceStuck, MemoryShort, ModelRecovering
from safelight_server.observer import SILENT, Observer

from . import free_memory
from .batching import Batching, Entry, join, split
from .healer import Healer
from .network import Network, Tensor
from .queue import Queue
from .room import Room
from .step_times import StepTimes
from .ticket import Ticket
from .watchdog import limit, watch

log = logging.getLogger(__name__)

# Seconds that the lane waits for the next step of a job whose last one has just ended: the sampler's arithmetic takes
# one or two milliseconds. Without it, somebody else's step would always come first, and joined jobs would drift apart.
HOLD = 0.02

PACE_GAIN = 0.1  # how much of what one inference says goes into the pace

TRIES = 2  # an entry whose inference failed is run once more, alone, after the network was compiled anew


class Lane:
    """Owns a device: two graphs that run at once on the same cores are slower than one after the other.

    Between two steps a job is a value, so any other job may overtake it there.
    """

    def __init__(self, device: str, observer: Observer = SILENT) -> None:
        self.device = device
        self.step_times = StepTimes()
        self.batching = Batching()
        # By the files of graph and weights: models that share them share what runs them.
        self.networks: dict[tuple[Path, Path], Network] = {}
        # Seconds of work, step by step, that it does in a second while there are jobs: above 1 where steps are joined,
        # below 1 where the process has much to do beside inferences.
        self.pace = 1.0
        self.stuck = False  # an inference is hung: the device does nothing else
        self._observer = observer
        self._healer = Healer(self._on_network, observer)
        self._on_health: list[Callable[[], None]] = []
        self._room = Room()
        self._queue = Queue(self.step_times, self.batching)
        self._expected: set[Ticket] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None
        self._ended = -math.inf  # when the last inference did
        self._batch: Sequence[Entry] = ()
        self._turns: list[asyncio.Future[None]] = []  # of those who want the lane to themselves
        self._taken = False

    async def run(
        self, network: Network, inputs: Mapping[str, Tensor], ticket: Ticket | None = None
    ) -> dict[str, Tensor]:
        """Runs `network` when it is the ticket's turn; its outputs by name. The first axis of every input is rows.

        Without a ticket it is a small job of its own, as a tool asks for. If the caller is cancelled, its entry leaves
        the queue; if the inference runs already, it is stopped unless others are in it.

        A network that has failed is compiled anew, and what waits for it goes on waiting. Then each entry of the batch
        that failed is run again, alone. Raises InferenceFailed for an entry that fails twice, ModelRecovering if the
        network cannot be compiled now, DeviceStuck for an inference that hangs, MemoryShort where there is no room.
        """
        entry = Entry(network, inputs, ticket or Ticket(), goes_on=ticket is not None)
        self._queue.add(entry)
        entry.ticket.leave()  # it has come: the lane that expected it need not wait any more
        self._next()
        try:
            return await entry.outputs
        except asyncio.CancelledError:
            await self._drop(entry)
            raise

    def on_health(self, callback: Callable[[], None]) -> None:
        """`callback` is called whenever a network has broken or is ready again, and when the device is stuck or not."""
        self._on_health.append(callback)

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
        if entry in self._queue:
            self._queue.remove(entry)
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
        elif not self._expected and (runnable := self._queue.runnable):
            self._batch = self._queue.take(runnable)
            self._running = asyncio.create_task(self._infer(self._batch))
            self._running.add_done_callback(self._end)  # a task that is cancelled at once runs no `finally`

    async def _infer(self, batch: Sequence[Entry]) -> None:
        """Runs a batch. What comes of it, good or bad, is for those who wait for it."""
        network, began = batch[0].network, time.monotonic()
        try:
            inputs = join(batch)
            shape = next(iter(inputs.values())).shape
            warms = not batch[0].goes_on  # the model that it is for was given its memory
            await self._room.make(network, shape, free_memory.reserved() if warms else 0)
            usual = self.step_times.seconds(network.name, shape)
            watched = watch(network(inputs), limit(usual), partial(self._on_hang, batch))
            outputs = split(batch, await watched)
        except Exception as error:
            self._fail(batch, error)
            return
        self._account(batch, shape, began)
        for entry, rows in zip(batch, outputs, strict=True):
            if not entry.outputs.done():
                entry.outputs.set_result(rows)

    def _on_hang(self, batch: Sequence[Entry], stuck: bool) -> None:
        if stuck:
            log.error("network %s does not answer on %s", batch[0].network.name, self.device)
            for entry in _unanswered(batch):
                entry.outputs.set_exception(DeviceStuck(self.device))
        self.stuck = stuck
        self._tell_health()

    def _fail(self, batch: Sequence[Entry], error: Exception) -> None:
        """Who is to blame for a batch that failed is not known: each entry gets a second try, by itself."""
        network = batch[0].network
        self._observer.inference_failed(network.name, sum(entry.rows for entry in batch))
        for entry in _unanswered(batch):
            entry.failures += 1
            alone_it_may_fit = isinstance(error, MemoryShort) and len(batch) > 1
            if (network.broken or alone_it_may_fit) and entry.failures < TRIES:
                self._queue.add(entry)
            else:
                entry.outputs.set_exception(error)

    def _on_network(self, network: Network) -> None:
        """A network has just broken, or could not be compiled anew, or is ready again."""
        self._tell_health()
        if self._healer.has_failed(network):
            for entry in self._queue.remove_all(network):
                if not entry.outputs.done():
                    entry.outputs.set_exception(ModelRecovering(network.name.partition("/")[0]))
        self._next()

    def _tell_health(self) -> None:
        for callback in self._on_health:
            callback()

    def _account(self, batch: Sequence[Entry], shape: tuple[int, ...], began: float) -> None:
        name, now = batch[0].network.name, time.monotonic()
        seconds = now - began
        # The moment between two steps of a job is a part of what they cost; a lane with nothing to do is not.
        whole = now - (self._ended if began - self._ended < HOLD else began)
        self._ended = now
        if alone := sum(self._queue.estimate(entry) for entry in batch):
            self.pace += PACE_GAIN * (min(alone / whole, len(batch)) - self.pace)
        self.step_times.observe(name, shape, seconds)
        self._observer.inference_ended(name, shape, seconds)
        for entry in batch:
            entry.ticket.served(seconds, self._expect)
        self._queue.note_served(batch)
        for entry in _unanswered(batch):
            if entry.goes_on:
                self._expect(entry.ticket)

    def _end(self, task: asyncio.Task[None]) -> None:
        network, self._running, self._batch = self._batch[0].network, None, ()
        self._healer.check(network)
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
