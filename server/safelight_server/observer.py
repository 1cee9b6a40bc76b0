"""What happens inside, told to whoever counts it: metrics or traces override what they want to hear of."""

from __future__ import annotations

from .jobs import JobState


class Observer:
    """Hears of every change at the jobs, the slots, the lanes and the mailboxes; here, it does nothing.

    Methods are called on the event loop, between two steps: they must return at once, and must not raise.
    """

    def job_moved(self, job_id: str, model: str, state: JobState) -> None:
        """A job is now in `state`; `model` is the one that it begins on."""

    def slots_changed(self, taken: int, waiting: int) -> None:
        """So many jobs are being drawn, and so many wait for a slot."""

    def inference_ended(self, network: str, rows: int, seconds: float) -> None:
        """A lane ran a network on a batch of so many rows."""

    def inference_failed(self, network: str, rows: int) -> None:
        """A network raised an error; its lane goes on."""

    def item_dropped(self, kind: str) -> None:
        """A subscriber did not read an event of this kind ("Progress", "Frame" or "Queued") before a newer one came."""


SILENT = Observer()  # for whoever has no observer: it remembers nothing, so all can share it
