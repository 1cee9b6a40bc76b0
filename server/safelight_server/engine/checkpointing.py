"""Which steps of a drawing are written down: as many as cost next to nothing, and the last one when it must be."""

from __future__ import annotations

import math

from safelight_server.job_store.checkpoints import Checkpoint
from safelight_server.job_store.store import Store
from safelight_server.observer import SILENT, Observer

SHARE = 0.002  # of the time of the steps, that checkpoints may take
FIRST_COST = 0.001  # seconds that one takes, before any was seen


class Checkpointing:
    """Of one drawing. `hangs_on` says with what it may go on from them; see `hangs_on` in receipts.py."""

    def __init__(self, store: Store, drawing: str, hangs_on: str, observer: Observer = SILENT) -> None:
        self._store, self._drawing, self._hangs_on, self._observer = store, drawing, hangs_on, observer
        self._since = 0
        self._last: Checkpoint | None = None  # that was not written

    def after_step(self, checkpoint: Checkpoint, seconds: float, *, wanted: bool) -> None:
        """A step that took so many seconds is done; the image can go on from here. `wanted`: whatever that costs."""
        self._since += 1
        self._last = checkpoint
        every = math.ceil((self._store.checkpoint_seconds or FIRST_COST) / (SHARE * max(seconds, 1e-6)))
        if wanted or (self._since >= every and not self._store.is_behind):
            self.write()

    def write(self) -> None:
        """Writes the last one down, if that is not done yet."""
        if self._last is not None:
            self.put(self._last)
            self._last, self._since = None, 0

    def put(self, checkpoint: Checkpoint) -> None:
        """Writes this one down, and goes on as if it had not."""
        self._store.put_checkpoint(self._drawing, checkpoint, self._hangs_on)
        self._observer.checkpoint_written()
