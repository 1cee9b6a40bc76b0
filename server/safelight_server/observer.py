"""What happens inside, told to whoever counts it: metrics or traces override what they want to hear of."""

from __future__ import annotations

from collections.abc import Sequence

from .jobs import JobState


class Observer:
    """Hears of calls, and of every change at jobs, slots, lanes and mailboxes; here, it does nothing.

    Methods are called on the event loop, between two steps: they must return at once, and must not raise.
    """

    def call_began(self, door: str) -> None:
        """A call came to "grpc" or "http"."""

    def call_refused(self, door: str, reason: str) -> None:
        """A call ended with an error; `reason` is that of its ErrorInfo."""

    def job_moved(self, job_id: str, model: str, state: JobState) -> None:
        """A job is now in `state`; `model` is the one that it begins on."""

    def job_stopped(self, seconds: float) -> None:
        """The work of a job that nobody wants any more has ended, so many seconds after it was told to."""

    def slots_changed(self, taken: int, waiting: int) -> None:
        """So many jobs are being drawn, and so many wait for a slot."""

    def inference_ended(self, network: str, shape: Sequence[int], seconds: float) -> None:
        """A lane ran a network on a batch; `shape` is that of its first input, rows first."""

    def inference_failed(self, network: str, rows: int) -> None:
        """A network raised an error; its lane goes on."""

    def network_healed(self, network: str) -> None:
        """A network that had failed is compiled anew."""

    def checkpoint_written(self) -> None:
        """The state of a job between two steps goes to the store."""

    def item_read(self, kind: str) -> None:
        """A subscriber read an event of this kind ("Progress", "Frame", "Image" ...)."""

    def item_dropped(self, kind: str) -> None:
        """A subscriber did not read an event of this kind ("Progress", "Frame" or "Queued") before a newer one came."""


SILENT = Observer()  # for whoever has no observer: it remembers nothing, so all can share it
