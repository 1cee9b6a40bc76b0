"""Shows the events of a stream as a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .events import Event, ImageDone, Progress, Queued, Started
from .notebook import LivePicture, in_notebook

OnEvent = Callable[[Event], object]


class Bar:
    """A bar of all steps of all pictures, by tqdm, on stderr or in the notebook."""

    def __init__(self) -> None:
        from tqdm.auto import tqdm  # here, since importing it takes as long as the rest of the client

        self._bar = tqdm(unit="step", dynamic_ncols=True, desc="waiting")
        self._done: dict[int, int] = {}
        self._steps = 0

    def show(self, event: Event) -> None:
        """Moves the bar."""
        if isinstance(event, Queued) and event.position:
            self._bar.set_description(f"queued, {event.position} ahead")
        elif isinstance(event, Started):
            self._steps = event.steps
            self._bar.reset(total=event.steps * len(event.seeds))
            self._bar.set_description(event.model)
        elif isinstance(event, Progress):
            self._bar.set_description(event.model, refresh=False)
            self._reach(event.image_index, event.step)
        elif isinstance(event, ImageDone):
            self._reach(event.index, self._steps)  # a slow reader does not get every Progress

    def close(self) -> None:
        """Leaves the bar as it stands."""
        self._bar.close()

    def _reach(self, index: int, step: int) -> None:
        self._done[index] = step
        self._bar.update(sum(self._done.values()) - self._bar.n)


def previews_of(progress: bool | OnEvent) -> int:
    """Every how many steps a preview is of use: in a notebook they are shown beside the bar."""
    return int(progress is True and in_notebook())


@contextmanager
def event_handler(progress: bool | OnEvent) -> Iterator[OnEvent]:
    """The function to call with each event: the caller's own, or that of a bar, which is closed at the end."""
    if callable(progress):
        yield progress
        return
    bar = Bar()
    shows: list[OnEvent] = [bar.show, LivePicture().show] if in_notebook() else [bar.show]
    try:
        yield lambda event: [show(event) for show in shows]
    finally:
        bar.close()
