"""What happens inside, told to whoever counts it: metrics or traces override what they want to hear of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .callers import Trace
from .jobs import JobState


class Outline(NamedTuple):
    """What is told of a job when it begins: nothing of it is a prompt, a picture or a name that its caller wrote.

    `drawing` is the id of the job whose drawing it gets: its own, or that of an equal job which came before it.
    """

    id: str
    drawing: str
    model: str  # the one that it begins on
    refiner: str  # the one that it goes on with, or ""
    method: str  # "generate" or "refine"
    width: int  # pixels
    height: int
    steps: int  # of each image, on all its models
    images: int
    priority: str
    forked_from: str  # a job's id, or ""
    resumed: bool  # a server before this one has left it
    trace: Trace  # of the call that made it


class Observer:
    """Hears of calls, and of every change at jobs, slots, lanes and mailboxes; here, it does nothing.

    Methods are called on the event loop, between two steps: they must return at once, and must not raise.
    """

    def call_began(self, door: str) -> None:
        """A call came to "grpc" or "http"."""

    def call_refused(self, door: str, reason: str) -> None:
        """A call ended with an error; `reason` is that of its ErrorInfo."""

    def job_began(self, job: Outline) -> None:
        """A job is taken: a new one, or one that a server before this one has left."""

    def job_ended(self, job_id: str, state: JobState, reason: str) -> None:
        """A job that began is over in this process; `reason` says why it was cancelled or failed, else it is ""."""

    def job_moved(self, job_id: str, model: str, state: JobState) -> None:
        """A drawing is now in `state`; `job_id` is the job that it was begun for, `model` the one that it begins on."""

    def stage_began(self, job_id: str, stage: str, image: int | None, model: str) -> None:
        """A drawing is "queued", or it does "encode", "denoise", "decode" or "save" from now on: one at a time.

        `image` is the one that this is for, None: all; `model` does it, "": none, or all of them.
        """

    def step_ended(self, job_id: str) -> None:
        """A drawing has done one denoising step more."""

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
HOOKS = tuple(name for name in vars(Observer) if not name.startswith("_"))


def together(*observers: Observer) -> Observer:
    """One that tells all of these: each hears only of what it overrides."""
    found = Observer()
    for hook in HOOKS:
        nothing = getattr(Observer, hook)
        hearing = [getattr(each, hook) for each in observers if getattr(type(each), hook) is not nothing]
        if hearing:
            setattr(found, hook, hearing[0] if len(hearing) == 1 else _to_all(hearing))
    return found


def _to_all(hearing: Sequence[Callable[..., None]]) -> Callable[..., None]:
    def tell(*told: Any) -> None:
        for each in hearing:
            each(*told)

    return tell
